"""One call that is settled by its answer: what its request asks for, and what its answer says.

The answer passes as it comes, but for the one chunk that may be taken out of it. What transports
the two is the door's to know; here it gives their parts.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import AttemptEnd, Headers
from sidecar.domain.usage import MissingCause, Terms, Usage
from sidecar.usage.reader import AnswerReader, reader_of
from sidecar.usage.stream_options import may_be_asked, with_usage
from sidecar.usage.usage_chunk import UsageChunkFilter

_ACCEPT_ENCODING: Final = b"accept-encoding"

_GIVEN_UP: Final = Usage(None, None, None, 0, MissingCause.CUT)


class SettledAnswer:
    """Reads the usage of one call's answer."""

    __slots__ = ("_answered", "_asks", "_filter", "_reader", "_terms", "_whole")

    def __init__(self, terms: Terms) -> None:
        """Settle a call by `terms`."""
        self._terms = terms
        self._reader: AnswerReader | None = None
        self._filter: UsageChunkFilter | None = None
        self._asks = False  # the request was made to ask for what its client did not
        self._answered = False  # its head has come
        self._whole = False  # the answer has ended as its head said

    # the request

    @property
    def reads_request(self) -> bool:
        """Whether the request's body may be changed: `asking_body` is of use."""
        return self._terms.rule.request_usage and not self._terms.shadow

    def asking_body(self, path: bytes, fields: Headers, body: bytes) -> bytes | None:
        """Return the whole body as it asks for usage; None where it stays as it is.

        `fields`: names in lower case. In shadow not one byte changes.
        """
        if not self.reads_request or not may_be_asked(path, fields):
            return None
        asking = with_usage(body, unasked=self._terms.estimate.unasked)
        self._asks = asking is not None
        return asking

    def request_fields(self, fields: Headers) -> list[tuple[bytes, bytes]]:
        """Return the fields for the product, which ask for a plain answer, but not in shadow."""
        if self._terms.shadow:
            return list(fields)
        kept = [field for field in fields if field[0] != _ACCEPT_ENCODING]
        kept.append((_ACCEPT_ENCODING, b"identity"))
        return kept

    # the answer

    def began(self, status: int, fields: Headers) -> None:
        """Choose how to read the answer by its head; `fields`: names in lower case."""
        self._answered = True
        if not 200 <= status <= 299:  # noqa: PLR2004
            return
        self._reader = reader_of(self._terms.rule, fields)
        if (
            self._asks
            and self._reader.reads_events
            and all(name != b"content-length" for name, _ in fields)  # or a byte would be missing
        ):
            self._filter = UsageChunkFilter()

    def feed(self, data: bytes) -> bytes:
        """Take a part of the answer; return what goes to the client."""
        if self._reader is not None:
            self._reader.feed(data)
        return data if self._filter is None else self._filter.feed(data)

    def end(self, data: bytes) -> bytes:
        """Take the last part of a whole answer; return what goes to the client."""
        self._whole = True
        if self._reader is not None:
            self._reader.feed(data)
        return data if self._filter is None else self._filter.feed(data) + self._filter.end()

    def result(self, end: AttemptEnd) -> tuple[AttemptEnd, Usage | None]:
        """Say what a call has come to whose attempt has ended so. To be asked once.

        What has begun to answer with 2xx is settled and never refunded, however it ended. What is
        given up before any head may have been executed. Any other answer costs its deposit.
        """
        if self._reader is not None:
            return AttemptEnd.DONE, self._reader.end(whole=self._whole)
        if self._answered or end is not AttemptEnd.DONE:
            return end, None
        return end, _GIVEN_UP
