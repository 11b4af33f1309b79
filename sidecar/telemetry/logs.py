"""Structured logs: one line for one record, JSON for collectors or text for people, redacted.

A message of ours is the fixed name of an event; what varies goes into `extra`. A message of a
library becomes the field `message` of the event `library`. Times are UTC (RFC 3339).
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections.abc import Iterable
from typing import Final, Literal, TextIO

import orjson
from typing_extensions import override

from sidecar.domain.instants import utc_text
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.repeats import RepeatFilter

_OURS: Final = "sidecar"
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message", "asctime", "taskName", "repeat_key",
}  # fmt: skip
_MAX_FIELD: Final = 8192
_EVENT_WIDTH: Final = 26
_PLAIN: Final = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+*()[]<>"
)


def setup_logging(
    level: str,
    format: Literal["json", "text"],  # noqa: A002 (the setting's own name)
    secrets: Iterable[str] = (),
    *,
    stream: TextIO | None = None,
) -> Redactor:
    """Send all logs, ours and libraries', as lines to `stream` (stderr). Can be called again.

    `level` is debug, info, warning or error, and counts for ours; libraries speak from warning up
    unless it is debug. Returns the redactor, so that secrets learnt later can be added to it.
    """
    redactor = Redactor(secrets)
    handler = LineHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter(redactor) if format == "json" else TextFormatter(redactor))
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, LineHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(number if number <= logging.DEBUG else max(number, logging.WARNING))
    logging.getLogger(_OURS).setLevel(number)
    logging.captureWarnings(capture=True)
    return redactor


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes lines. A line that cannot be written is lost: logging never stops the metering.

    The base class would print the record as it is, unredacted, with a traceback.
    """

    lost = 0

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        self.lost += 1


class _Fields(logging.Formatter):
    """What both formats share: the fields of a record, masked and in order."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """Return timestamp, level, event and logger, then what the record adds."""
        message = self._redactor.text(_message(record))
        ours = record.name == _OURS or record.name.startswith(_OURS + ".")
        fields: dict[str, object] = {
            "timestamp": utc_text(record.created, "milliseconds"),
            "level": record.levelname.lower(),
            "event": message if ours else "library",
            "logger": record.name,
        }
        if not ours:
            fields["message"] = message
        for name in self.extras(record):
            # An extra never replaces what the record itself says.
            free = f"{name}_" if name in fields else name
            fields[free] = self._redactor.value(name, record.__dict__[name])
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            fields["exception"] = self._redactor.text(f"{type(error).__name__}: {error}")
            if record.levelno >= logging.ERROR:
                lines = "".join(traceback.format_exception(error))
                fields["traceback"] = self._redactor.text(lines)
        return {name: _cut(value) for name, value in fields.items()}

    def extras(self, record: logging.LogRecord) -> list[str]:
        return [name for name in record.__dict__ if name not in _STANDARD]


class JsonFormatter(_Fields):
    """A JSON object on one line."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        try:
            return orjson.dumps(fields).decode()
        except TypeError:  # a lone surrogate, or an integer beyond 64 bits
            return json.dumps(fields)


class TextFormatter(_Fields):
    """Aligned columns for people, still one line: what would break a line is escaped."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        fields = self.fields(record)
        time, level, event, logger = (str(fields.pop(name)) for name in _COLUMNS)
        more = _pairs(fields)
        head = f"{time} {level.upper():<7} {_line(event):<{_EVENT_WIDTH}}"
        return f"{head} {more + ' ' if more else ''}({logger})"

    def message(self, record: logging.LogRecord) -> str:
        """Write the event and its fields alone, for a line of another formatter."""
        fields = self.fields(record)
        event = str(fields["event"])
        more = _pairs({name: fields[name] for name in fields if name not in _APART})
        return f"{_line(event)} {more}".rstrip()


_COLUMNS: Final = ("timestamp", "level", "event", "logger")
_APART: Final = frozenset({*_COLUMNS, "exception", "traceback"})


def _pairs(fields: dict[str, object]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in fields.items())


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit: the text alone, then
        return str(record.msg)


def _cut(value: object) -> object:
    """Bound a text field, after masking: a cut before it could leave half a secret."""
    if isinstance(value, str) and len(value) > _MAX_FIELD:
        return f"{value[:_MAX_FIELD]}… ({len(value)} characters)"
    return value


def _line(text: str) -> str:
    """Write text without what ends a line or moves a terminal's cursor."""
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _shown(value: object) -> str:
    if isinstance(value, str):
        return value if value and _PLAIN.issuperset(value) else json.dumps(value)
    return json.dumps(value, default=str)
