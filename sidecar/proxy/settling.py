"""A call that is settled by its answer: what its request asks for, and what its answer says.

The answer passes as it comes. What of it is read, and the one chunk that may be taken out of it, is
`sidecar.usage`'s to know; here it gets the bytes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Protocol

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import MissingCause, Terms, Usage
from sidecar.http1.client import ClientConnection
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE, RequestHead, ResponseHead
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.metered_tunnel import MeteredTunnel
from sidecar.usage.reader import AnswerReader, reader_of
from sidecar.usage.stream_options import may_be_asked, with_usage
from sidecar.usage.usage_chunk import UsageChunkFilter

_EVENT_STREAM: Final = b"text/event-stream"
_ACCEPT_ENCODING: Final = b"accept-encoding"

_GIVEN_UP: Final = Usage(None, None, None, 0, MissingCause.CUT)


class SwitchedRelay(Protocol):
    """The relay of an answer that switches protocols."""

    upstream: ClientConnection

    def leave(self) -> None:
        """End both connections, when what was written to them is out."""


class Settling:
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

    def request_head(self, head: RequestHead, body: InboundBody | None) -> RequestHead:
        """Return the head for the product: it asks for a plain answer, and maybe for its usage.

        In shadow not one byte changes.
        """
        if self._terms.shadow:
            return head
        length = head.length
        if body is not None and self._terms.rule.request_usage:
            held = body.whole
            asking = None
            if held is not None and may_be_asked(head.target, head.fields):
                asking = with_usage(held)
            if asking is not None:
                body.replace(asking)
                length = len(asking)
                self._asks = True
        fields = [field for field in head.fields if field[0] != _ACCEPT_ENCODING]
        fields.append((_ACCEPT_ENCODING, b"identity"))
        return replace(head, fields=fields, length=length)

    # the answer

    def begin(self, head: ResponseHead) -> None:
        """Choose how to read the answer by its head."""
        self._answered = True
        if not 200 <= head.status <= 299:
            return
        self._reader = reader_of(self._terms.rule, head.status, head.fields)
        if self._asks and head.length in {CHUNKED, UNTIL_CLOSE} and _is_plain_stream(head):
            self._filter = UsageChunkFilter()

    def switch(
        self,
        head: ResponseHead,  # noqa: ARG002 - the shape of a settling
        relay: SwitchedRelay,  # noqa: ARG002
    ) -> MeteredTunnel | None:
        """Return what meters the messages of a tunnel; None where they pass as they come.

        Raises UnknownExtensionError where they must be metered and cannot be.
        """
        return None

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

    def ended(self, end: AttemptEnd) -> tuple[AttemptEnd, Usage | None] | None:
        """Say what a call has come to whose attempt has ended so; None: it is settled already.

        To be asked once.
        What has begun to answer with 2xx is settled and never refunded, however it ended. What is
        given up before any head may have been executed. Any other answer costs its deposit.
        """
        if self._reader is not None:
            return AttemptEnd.DONE, self._reader.end(whole=self._whole)
        if self._answered or end is not AttemptEnd.DONE:
            return end, None
        return end, _GIVEN_UP


def _is_plain_stream(head: ResponseHead) -> bool:
    kind = coding = b""
    for name, value in head.fields:
        if name == b"content-type":
            kind = value[: len(_EVENT_STREAM)].lower()
        elif name == b"content-encoding":
            coding = value
    return kind == _EVENT_STREAM and coding.lower() in {b"", b"identity"}
