from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from sidecar.domain.errors import UserError
from sidecar.settings.secret import (
    BBAS_KEY,
    BBK_KEY,
    WEBHOOK_SECRET,
    KeySource,
    Secret,
    parse_key,
    read_key_file,
)
from tests.fakes.clock import TurnedClock


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with a usable key."""
    path = tmp_path / "key"
    path.write_text("bbas_first\n")
    return path


@pytest.mark.parametrize("form", ["{}", "{!r}", "{!s}", "{:>30}"])
def test_a_secret_does_not_print(form: str) -> None:
    """Not in a log, an f-string or a traceback's locals."""
    assert "bbas_" not in form.format(str(Secret("bbas_x")) if ">" in form else Secret("bbas_x"))


def test_a_secret_shows_when_asked_by_name() -> None:
    """One word to look for in a review."""
    assert Secret("bbas_x").reveal() == "bbas_x"


def test_secrets_compare_by_value() -> None:
    """And with nothing else, so that a plain string is never taken for one."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize("text", ["", " \n", "a b", "a\nb", "bbas_ä", "x" * 4097, "a\0b"])
def test_a_key_that_could_not_be_sent_is_refused(text: str) -> None:
    """It becomes a header field; the problem does not show it."""
    with pytest.raises(ValueError, match=r"^(is|has) ") as raised:
        parse_key(text)
    assert not text.strip() or text.strip() not in str(raised.value)


@pytest.mark.parametrize(("what", "other"), [(BBAS_KEY, "bbk_"), (BBK_KEY, "bbas_")])
def test_a_key_of_the_other_kind_is_told(what: str, other: str) -> None:
    """A product's secret and an org's key come from one page, and are easily taken for another."""
    with pytest.raises(ValueError, match=f"^is a {other} key: give the {what}$"):
        parse_key(f"{other}0123", what)


@pytest.mark.parametrize("what", [BBAS_KEY, BBK_KEY, WEBHOOK_SECRET])
@pytest.mark.parametrize("form", ["'{}'", '"{}"', "`{}`", "'{}", '{}"', " '{}'\n"])
def test_a_key_in_quotes_is_refused(what: str, form: str) -> None:
    """An env file or a YAML value that was quoted twice; the problem does not show the key."""
    with pytest.raises(ValueError, match=f"^is in quotes: give the {what} without them$"):
        parse_key(form.format("0123456789"), what)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a b", b"x" * 9000, b"'bbas_x'"])
def test_a_bad_file_is_named_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """One line with the path and the fix."""
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"key file {path}: ") as raised:
        read_key_file(path)
    assert "\n" not in str(raised.value)


def test_a_source_of_a_value_gives_that_value() -> None:
    """From the variable: nothing to look at again."""
    assert KeySource(Secret("bbas_x")).current() == "bbas_x"


def test_a_changed_file_is_read_again(key_file: Path) -> None:
    """Rotation needs no restart."""
    clock = TurnedClock()
    source = KeySource(key_file, monotonic=clock.monotonic)
    key_file.write_text("bbas_second_one")
    clock.advance(1.0)
    assert source.current() == "bbas_second_one"


def test_a_file_is_looked_at_once_a_second_at_most(key_file: Path) -> None:
    """The key is asked for with every consume."""
    clock = TurnedClock()
    source = KeySource(key_file, monotonic=clock.monotonic)
    key_file.write_text("bbas_second_one")
    clock.advance(0.9)
    assert source.current() == "bbas_first"


def test_a_swapped_symlink_is_a_change(tmp_path: Path) -> None:
    """A mounted Secret changes by swapping a link above the file."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text(f"bbas_{name}")
    (tmp_path / "data").symlink_to("one")
    clock = TurnedClock()
    source = KeySource(tmp_path / "data" / "key", monotonic=clock.monotonic)
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(tmp_path / "data")
    clock.advance(1.0)
    assert source.current() == "bbas_two"


@pytest.mark.parametrize("content", [None, "", "a b"])
def test_a_file_gone_bad_keeps_the_last_good_key(key_file: Path, content: str | None) -> None:
    """A failed rotation must not stop the metering."""
    clock = TurnedClock()
    source = KeySource(key_file, monotonic=clock.monotonic)
    key_file.unlink() if content is None else key_file.write_text(content)
    clock.advance(1.0)
    assert source.current() == "bbas_first"


def test_a_bad_file_is_logged_once_for_each_change(
    key_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Worth a line, not a line a second."""
    clock = TurnedClock()
    source = KeySource(key_file, monotonic=clock.monotonic)
    key_file.unlink()
    with caplog.at_level(logging.WARNING, logger="sidecar.key"):
        for _ in range(5):
            clock.advance(1.0)
            source.current()
    assert [record.message for record in caplog.records] == ["key_file_rejected"]


def test_a_bad_file_can_be_mended(key_file: Path) -> None:
    """The next good content counts."""
    clock = TurnedClock()
    source = KeySource(key_file, monotonic=clock.monotonic)
    key_file.unlink()
    clock.advance(1.0)
    source.current()
    key_file.write_text("bbas_third")
    clock.advance(1.0)
    assert source.current() == "bbas_third"


def test_each_new_key_is_told_before_it_is_used(key_file: Path) -> None:
    """The redaction of logs must know it first."""
    clock = TurnedClock()
    told: list[Secret] = []
    source = KeySource(key_file, monotonic=clock.monotonic, on_change=told.append)
    key_file.write_text("bbas_second_one")
    clock.advance(1.0)
    source.current()
    assert told == [Secret("bbas_first"), Secret("bbas_second_one")]


def test_a_touched_file_with_the_same_key_is_no_news(key_file: Path) -> None:
    """Rewriting the same value is what many tools do."""
    clock = TurnedClock()
    told: list[Secret] = []
    source = KeySource(key_file, monotonic=clock.monotonic, on_change=told.append)
    os.utime(key_file, ns=(1, 1))
    clock.advance(1.0)
    source.current()
    assert told == [Secret("bbas_first")]


def test_a_source_needs_a_usable_file_at_the_start(tmp_path: Path) -> None:
    """Without any key there is nothing to run with."""
    with pytest.raises(UserError, match="mount the secret there"):
        KeySource(tmp_path / "absent")
