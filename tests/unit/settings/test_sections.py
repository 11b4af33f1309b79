"""docs/settings.md and the help say of each setting what its field does.

`SIDECAR_WRITE_GOLDEN=1` writes the tables of the page anew.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from pathlib import Path

import pytest

from sidecar.settings.authz import AuthzListenSettings
from sidecar.settings.fields import options
from sidecar.settings.run import SECTIONS, Settings, add_run_arguments

DOCS = Path(__file__).parents[3] / "docs" / "settings.md"
HEAD = "| flag | environment | default | meaning |\n|---|---|---|---|\n"


def table_of(name: str, section: type | None = None) -> str:
    """Return a section's table, under the mark that a page has for it."""
    rows = ""
    for each in options(section or SECTIONS[name]):
        default = each.default_text
        if not each.shown and not each.required and each.default is not None:
            default = f"`{default}`"
        rows += f"| `{each.flag}` | `{each.env}` | {default} | {each.meaning} |\n"
    return f"<!-- {name} -->\n\n{HEAD}{rows}\n"


def compared(page: Path, name: str, table: str) -> None:
    """Compare a table with the page that has it, or write it."""
    text = page.read_text(encoding="utf-8")
    if os.environ.get("SIDECAR_WRITE_GOLDEN"):
        old = rf"<!-- {name} -->\n\n(?:\|.*\n)*\n*"
        text = re.sub(old, lambda _: table, text)
        page.write_text(text, encoding="utf-8")
    assert table in text


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_has_the_table_of_every_section(name: str) -> None:
    """Flag, variable, default, and meaning with limits, as the fields have them."""
    compared(DOCS, name, table_of(name))


def test_the_page_of_envoy_has_the_listening_of_authz() -> None:
    """Its other settings are those of `run`."""
    compared(DOCS.with_name("envoy.md"), "authz", table_of("authz", AuthzListenSettings))


def test_the_page_lists_no_other_setting() -> None:
    """A flag that is gone is gone there too."""
    listed = re.findall(r"^\| `(--[\w-]+)` \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(each.flag for each in options(*SECTIONS.values()))


def test_the_help_shows_variable_and_default() -> None:
    """`bb-sidecar run --help` is the first page that people open."""
    parser = argparse.ArgumentParser(formatter_class=argparse.RawTextHelpFormatter)
    add_run_arguments(parser)
    text = " ".join(parser.format_help().split())
    for each in options(*SECTIONS.values()):
        assert f"{each.meaning} (env {each.env}; default: {each.default_text})" in text


def test_every_section_is_one_of_the_settings() -> None:
    """By the same name, in the same order."""
    assert list(SECTIONS) == [field.name for field in dataclasses.fields(Settings)]


def test_no_flag_and_no_variable_is_written_twice() -> None:
    """Each setting has its own."""
    found = options(*SECTIONS.values())
    assert len({each.flag for each in found}) == len({each.env for each in found}) == len(found)
