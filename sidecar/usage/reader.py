"""Reads the usage of one answer beside its stream: `feed` what goes to the client, then `end`.

The body is looked at in pieces of a fixed size, whatever parts it comes in: a part costs no more
than its copy until a piece is full, and what is found depends on the bytes alone.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final, assert_never

from sidecar.domain.model import Headers
from sidecar.domain.usage import (
    HeaderUsage,
    JsonUsage,
    MissingCause,
    Usage,
    UsageFormat,
    UsageRule,
)
from sidecar.policy.content_coding import UndecodableError, coding_of
from sidecar.usage.alike import AlikeEvents, alike
from sidecar.usage.answer_format import AnswerFormat
from sidecar.usage.body import BodyReader
from sidecar.usage.decoding import AnswerDecoder, TooDenseError
from sidecar.usage.elements import ElementReader
from sidecar.usage.events import EventReader, take_document
from sidecar.usage.formats import FORMATS
from sidecar.usage.formats.openai import OPENAI
from sidecar.usage.sent_text import SentText, needles_of
from sidecar.usage.tally import (
    MAX_NUMBER,
    AnswerTally,
    HeadTally,
    NumberTally,
    TokenTally,
    names_usage,
)

PIECE: Final = 8 * 1024
"""Bytes of a body that are looked at together: some thirty events of a stream."""

HEAD: Final = 1024
"""Bytes of a stream of events by which the keys of its text are known."""

KINDS_KEPT: Final = 256
"""Content types whose meaning is kept: a product has few."""

_NUMBER: Final = re.compile(rb"[0-9]{1,16}(?:\.[0-9]{1,18})?")
_CHARSET: Final = re.compile(rb"charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_UTF8: Final = frozenset({b"", b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_EVENT_STREAM: Final = b"text/event-stream"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_OF_EVENTS: Final = (b"data:", b"event:", b"id:", b"retry:", b":")


class AnswerReader:
    """The usage of one answer, as far as it has come."""

    __slots__ = ("_decoder", "_events", "_format", "_given_up", "_pending", "_sent", "_source",
                 "_tally", "_unread", "skipped")  # fmt: skip

    def __init__(
        self,
        answer_format: AnswerFormat,
        tally: AnswerTally,
        *,
        decoder: AnswerDecoder | None = None,
        events: bool = False,
    ) -> None:
        """Keep what to read with; `events`: the head says that the body is a stream of events."""
        self._format = answer_format
        self._tally = tally
        self._decoder = decoder
        self._events = events
        self._pending: bytes | bytearray = b""
        self._source: EventReader | BodyReader | ElementReader | None = None
        self._sent: SentText | None = None
        self._given_up = False
        self._unread = 0  # bytes that count as text, since no text was found in them
        self.skipped = 0  # bytes of text in events that were not fed

    @property
    def reads_events(self) -> bool:
        """Whether the head says that the body is a stream of events, plain and readable."""
        return self._events and self._decoder is None and not self._given_up

    def alike(self, event: bytes, start: int, closing: bytes) -> AlikeEvents | None:
        """Return how to know the events that need not be fed, from one that was; None: feed each.

        Their text counts as `skipped`. For `start` and `closing` see `sidecar.usage.alike`.
        """
        tally = self._tally
        if (
            not self.reads_events
            or not isinstance(tally, TokenTally | NumberTally)
            or (self._sent is None and len(self._pending) < HEAD)
            or names_usage(event, tally.needle, tally.follows)
        ):
            return None
        if self._sent is not None:
            return alike(event, self._sent.needles, start, closing)
        keys = self._format.text_keys(bytes(self._pending[:HEAD]))
        return alike(event, needles_of(keys), start, closing)

    def give_up(self) -> None:
        """Look at nothing more of the body."""
        self._given_up = True

    def feed(self, data: bytes) -> None:
        """Take a part of the body, as the client gets it."""
        if self._given_up:
            self._unread += len(data)
            return
        pending = self._pending
        if not pending:
            pending = data
        elif isinstance(pending, bytearray):
            pending += data
        else:
            pending = bytearray(pending) + data
        self._pending = pending
        if len(pending) >= PIECE:
            self._look()

    def end(self, *, whole: bool) -> Usage:
        """Return what was read; `whole`: the body has ended as its head said."""
        data = bytes(self._pending)
        self._pending = b""
        tally = self._tally
        if whole and self._is_short_object(data) and isinstance(tally, TokenTally | NumberTally):
            take_document(tally, data)
            usage = tally.result(0, whole=True)
            if usage.missing is None:
                return usage
            text = SentText(self._format.text)
            text.feed(data)
            return tally.result(text.total, whole=True)
        if data:
            self._take(data)
        source = self._source
        if source is not None and (whole or isinstance(source, EventReader)):
            source.end()
        self._source = None
        sent = 0 if self._sent is None else self._sent.total
        return self._tally.result(sent + self._unread + self.skipped, whole=whole)

    def _look(self) -> None:
        data = bytes(self._pending)
        rest = len(data) - len(data) % PIECE
        for start in range(0, rest, PIECE):
            self._take(data[start : start + PIECE])
        self._pending = bytearray(data[rest:])

    def _is_short_object(self, data: bytes) -> bool:
        """Say whether nothing was read before, and this is a JSON object."""
        return (
            self._sent is None
            and self._decoder is None
            and not (self._events or self._given_up)
            and data.startswith(b"{")
        )

    def _take(self, piece: bytes) -> None:
        if self._given_up:
            self._unread += len(piece)
            return
        if self._decoder is None:
            self._read(piece)
            return
        try:
            for text in self._decoder.decoded(piece):
                self._read(text)
        except UndecodableError:
            self._given_up = self._tally.unreadable = True
            self._unread += len(piece)
        except TooDenseError:
            self._given_up = self._tally.too_large = True

    def _read(self, text: bytes) -> None:
        sent = self._sent
        if sent is None:
            text = text.removeprefix(_BYTE_ORDER_MARK).lstrip()
            if not text:
                return
            sent = self._begin(text)
        sent.feed(text)
        if self._source is not None:
            self._source.feed(text)

    def _begin(self, text: bytes) -> SentText:
        """Choose how to read the body by its head and its first bytes."""
        events = self._events or text.startswith(_OF_EVENTS)
        tally = self._tally
        if events and isinstance(tally, TokenTally | NumberTally):
            self._source = EventReader(tally)
        elif isinstance(tally, TokenTally) and text.startswith(b"["):
            self._source = ElementReader(tally)
        elif isinstance(tally, TokenTally | NumberTally):
            self._source = BodyReader(tally)
        keys = self._format.text_keys(text) if events else self._format.text
        self._sent = SentText(keys)
        return self._sent


def reader_of(rule: UsageRule, headers: Headers) -> AnswerReader:
    """Return the reader of a 2xx answer, chosen by its head. `headers`: names in lower case."""
    content_type, coded = b"", False
    for name, value in headers:
        if name == b"content-type":
            content_type += value
        elif name == b"content-encoding":
            coded = True
    events, unread = _kind_of(content_type)
    answer_format, tally = _tally_of(rule, headers)
    decoder = None
    if coded:
        try:
            coding = coding_of(headers)
            decoder = AnswerDecoder(coding) if coding else None
        except UndecodableError:
            unread = True
    reader = AnswerReader(answer_format, tally, decoder=decoder, events=events)
    if unread:
        tally.unreadable = True
        reader.give_up()
    return reader


@lru_cache(maxsize=KINDS_KEPT)
def _kind_of(content_type: bytes) -> tuple[bool, bool]:
    """Say whether a body of this type is a stream of events, and whether it cannot be read."""
    content_type = content_type.lower()
    charset = _CHARSET.search(content_type)
    unread = charset is not None and charset[1] not in _UTF8
    return content_type.startswith(_EVENT_STREAM), unread


def _tally_of(rule: UsageRule, headers: Headers) -> tuple[AnswerFormat, AnswerTally]:
    match rule.format:
        case UsageFormat():
            answer_format = FORMATS[rule.format]
            return answer_format, TokenTally(answer_format)
        case JsonUsage():
            return OPENAI, NumberTally(rule.format)
        case HeaderUsage(name):
            return OPENAI, _head_tally([value for each, value in headers if each == name])
        case _:
            assert_never(rule.format)


def _head_tally(values: list[bytes]) -> HeadTally:
    """Read the one line of the field; two lines are unreadable."""
    if not values:
        return HeadTally(None, MissingCause.ABSENT)
    value = values[0].strip(b" \t")
    if len(values) > 1 or not _NUMBER.fullmatch(value) or Decimal(value.decode()) > MAX_NUMBER:
        return HeadTally(None, MissingCause.UNREADABLE)
    return HeadTally(Decimal(value.decode()), None)
