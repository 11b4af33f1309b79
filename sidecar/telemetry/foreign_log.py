"""Our lines in the log of a product's process: its handlers write them, as its own."""

from __future__ import annotations

import logging
from typing import Final

from typing_extensions import override

from sidecar.telemetry.logs import TextFormatter
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.repeats import RepeatFilter

_OURS: Final = "sidecar"


class ForeignLogFilter(RepeatFilter):
    """Holds back what repeats, masks credentials, and writes the fields behind the event.

    A product's formatter shows the message alone: without its fields an event would say too little.
    """

    def __init__(self) -> None:
        super().__init__()
        self.redactor: Final = Redactor()
        self._formatter = TextFormatter(self.redactor)

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if not super().filter(record):
            return False
        record.msg, record.args = self._formatter.message(record), ()
        for name in self._formatter.extras(record):
            record.__dict__[name] = self.redactor.value(name, record.__dict__[name])
        return True


_FILTER: Final = ForeignLogFilter()
"""One for the process: several engines log through the same loggers."""


def guard_our_log() -> Redactor:
    """Put the filter on every logger of ours; return what hides secrets in their lines."""
    for name in list(logging.Logger.manager.loggerDict):
        if name == _OURS or name.startswith(f"{_OURS}."):
            logging.getLogger(name).addFilter(_FILTER)  # once, however often it is added
    return _FILTER.redactor
