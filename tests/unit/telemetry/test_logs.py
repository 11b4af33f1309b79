from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from sidecar.telemetry.logs import JsonFormatter, LineHandler, setup_logging
from sidecar.telemetry.redaction import Redactor

Start = Callable[..., io.StringIO]


@pytest.fixture
def start() -> Iterator[Start]:
    """Set logging up onto a string, and put it back after the test."""
    root, ours = logging.getLogger(), logging.getLogger("sidecar")
    before = (root.level, ours.level, list(root.handlers))

    def begin(
        format: Literal["json", "text"] = "json",  # noqa: A002 (the setting's own name)
        level: str = "info",
        secrets: tuple[str, ...] = (),
    ) -> io.StringIO:
        stream = io.StringIO()
        setup_logging(level, format, secrets, stream=stream)
        return stream

    yield begin
    logging.captureWarnings(capture=False)
    root.setLevel(before[0])
    ours.setLevel(before[1])
    root.handlers[:] = before[2]


def only_line(stream: io.StringIO) -> str:
    """Return the one line that was written."""
    text = stream.getvalue()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return text[:-1]


def fail() -> None:
    """Raise an error whose text holds credentials and a line break."""
    raise ValueError("bad key bbas_hunter2\nCookie: a=hunter2")


def test_a_record_is_a_json_object_on_one_line(start: Start) -> None:
    """Timestamp, level, event, logger, then what it adds."""
    stream = start()
    logging.getLogger("sidecar.policy").info("policy_reloaded", extra={"hash": "ab", "routes": 5})
    found = json.loads(only_line(stream))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", found.pop("timestamp"))
    assert found == {
        "level": "info",
        "event": "policy_reloaded",
        "logger": "sidecar.policy",
        "hash": "ab",
        "routes": 5,
    }


def test_text_is_aligned_and_on_one_line(start: Start) -> None:
    """For people: time, level, event in columns, then name=value."""
    stream = start("text")
    logging.getLogger("sidecar.key").warning("key_file_rejected", extra={"problem": "is empty\n"})
    assert re.fullmatch(
        r'\S+Z WARNING key_file_rejected {10}problem="is empty\\n" \(sidecar\.key\)',
        only_line(stream),
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_text_breaks_a_line_or_moves_the_cursor(start: Start, form: str) -> None:
    """Line breaks, escapes and lone surrogates stay within their field."""
    stream = start(form)
    nasty = 'a\nb\r\x1b[2Jc\u2028d\udc80"e'
    logging.getLogger("sidecar.x").warning(nasty, extra={"field": nasty})
    assert only_line(stream).isprintable()


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_credential_is_written(start: Start, form: str) -> None:
    """Not from the message, a field, a nested one, an exception or its traceback."""
    stream = start(form, secrets=("correct-horse",))
    try:
        fail()
    except ValueError:
        logging.getLogger("sidecar.x").exception(
            "fault bbk_hunter2",
            extra={
                "headers": {"Authorization": "hunter2", "n": "correct-horse"},
                "url": "redis://:hunter2@cache",
            },
        )
    line = only_line(stream)
    assert "hunter2" not in line
    assert "correct-horse" not in line
    assert "ValueError" in line


def test_a_fault_has_its_traceback(start: Start) -> None:
    """In a field, so that it stays one line."""
    stream = start()
    try:
        fail()
    except ValueError:
        logging.getLogger("sidecar.x").exception("fault")
    assert "in fail" in json.loads(only_line(stream))["traceback"]


def test_what_is_no_fault_has_no_traceback(start: Start) -> None:
    """The text of the exception is enough for a warning."""
    stream = start()
    try:
        fail()
    except ValueError:
        logging.getLogger("sidecar.x").warning("retrying", exc_info=True)
    found = json.loads(only_line(stream))
    assert found["exception"].startswith("ValueError: bad key bbas_***")
    assert "traceback" not in found


def test_a_library_s_message_is_a_field_of_its_own_event(start: Start) -> None:
    """Events are a closed vocabulary; other people's sentences are not."""
    stream = start()
    logging.getLogger("asyncio").warning("took %d ms", 5)
    found = json.loads(only_line(stream))
    assert (found["event"], found["message"]) == ("library", "took 5 ms")


def test_libraries_speak_from_warning_up(start: Start) -> None:
    """Their chatter is not ours."""
    stream = start()
    logging.getLogger("aiohttp.access").info("GET /")
    assert stream.getvalue() == ""


def test_debug_lets_everyone_speak(start: Start) -> None:
    """That is what it is for."""
    stream = start(level="debug")
    logging.getLogger("aiohttp.access").debug("GET /")
    assert only_line(stream)


def test_the_level_counts_for_ours(start: Start) -> None:
    """Nothing below it is written."""
    stream = start(level="error")
    logging.getLogger("sidecar.x").warning("no")
    assert stream.getvalue() == ""


def test_a_warning_of_python_is_a_line_too(start: Start) -> None:
    """Not loose text between the objects."""
    stream = start()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert json.loads(only_line(stream))["logger"] == "py.warnings"


def test_an_extra_never_replaces_what_the_record_says(start: Start) -> None:
    """A field named `level` gets another name."""
    stream = start()
    logging.getLogger("sidecar.x").info("e", extra={"level": "x", "event": "y"})
    found = json.loads(only_line(stream))
    assert (found["level"], found["event"], found["level_"], found["event_"]) == (
        "info", "e", "x", "y",
    )  # fmt: skip


def test_a_repeat_key_is_not_shown(start: Start) -> None:
    """It is for the filter."""
    stream = start()
    logging.getLogger("sidecar.x").warning("e", extra={"repeat_key": "k"})
    assert "repeat_key" not in only_line(stream)


def test_repeated_events_are_held_back(start: Start) -> None:
    """The filter is in place."""
    stream = start()
    for _ in range(5):
        logging.getLogger("sidecar.x").warning("down")
    assert only_line(stream)


def test_arguments_that_do_not_fit_lose_no_record() -> None:
    """A mistake in a log call is no fault of the call it tells of."""
    record = logging.makeLogRecord({"name": "asyncio", "msg": "%d items", "args": ("x",)})
    assert json.loads(JsonFormatter(Redactor()).format(record))["message"] == "%d items"


def test_an_integer_beyond_64_bits_is_written(start: Start) -> None:
    """Where the fast encoder gives up, the slow one does it."""
    stream = start()
    logging.getLogger("sidecar.x").info("e", extra={"n": 2**70})
    assert json.loads(only_line(stream))["n"] == 2**70


def test_a_very_long_field_is_cut(start: Start) -> None:
    """After masking, with its length told."""
    stream = start()
    logging.getLogger("sidecar.x").info("e", extra={"body": "x" * 20_000})
    assert json.loads(only_line(stream))["body"].endswith("x… (20000 characters)")


def test_setting_up_again_replaces_the_first(start: Start) -> None:
    """Not each line twice."""
    first, second = start(), start()
    logging.getLogger("sidecar.x").info("e")
    assert (first.getvalue(), only_line(second).count('"e"')) == ("", 1)


def test_a_secret_learnt_later_is_masked(start: Start) -> None:
    """As when a key file changes."""
    stream = io.StringIO()
    start()
    setup_logging("info", "json", stream=stream).add("correct-horse")
    logging.getLogger("sidecar.x").info("e", extra={"x": "correct-horse"})
    assert "correct-horse" not in only_line(stream)


class ClosedPipe(io.StringIO):
    """A stream whose reader has gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError


def test_a_line_that_cannot_be_written_stops_nothing(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is the record printed anywhere else, unmasked."""
    start()
    setup_logging("info", "json", stream=ClosedPipe())
    logging.getLogger("sidecar.x").info("bbas_hunter2")
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, LineHandler))
    assert handler.lost == 1
    assert capsys.readouterr() == ("", "")
