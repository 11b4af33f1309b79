from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sidecar.settings.commands import AccessSettings
from sidecar.settings.fields import SettingsError, read_section


def flags(**given: str) -> argparse.Namespace:
    """Parsed flags; what is not given is None."""
    names = ("platform_url", "auth_url", "key_file", "api_key_file")
    return argparse.Namespace(**{name: given.get(name) for name in names})


def test_the_defaults_are_the_platforms_own_hosts() -> None:
    """And no key."""
    access = read_section(AccessSettings, flags(), {})
    assert (access.api.url, access.auth.url) == (
        "https://api.bizbasics.ai", "https://auth.bizbasics.ai",
    )  # fmt: skip
    assert (access.key, access.api_key) == (None, None)


def test_a_file_beats_a_variable(tmp_path: Path) -> None:
    """As for `run`."""
    path = tmp_path / "key"
    path.write_text("bbk_file\n")
    given = flags(api_key_file=str(path))
    access = read_section(AccessSettings, given, {"BIZBASICS_API_KEY": "bbk_variable"})
    assert access.api_key == path


def test_no_key_shows_in_a_repr() -> None:
    """A traceback with locals shows it."""
    environ = {"PLATFORM_INTERNAL_KEY": "bbas_hidden", "BIZBASICS_API_KEY": "bbk_hidden"}
    assert "hidden" not in repr(read_section(AccessSettings, flags(), environ))


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    """A bad URL, a file that is not there, a variable with a space."""
    given = flags(platform_url="ftp://x", key_file=str(tmp_path / "absent"))
    with pytest.raises(SettingsError) as raised:
        read_section(AccessSettings, given, {"BIZBASICS_API_KEY": "bbk_a b"})
    assert [problem.partition(":")[0] for problem in raised.value.problems] == [
        "--platform-url", "--key-file", "BIZBASICS_API_KEY",
    ]  # fmt: skip
