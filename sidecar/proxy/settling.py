"""How the proxy settles a call by its answer: a settled answer with its own heads and bodies."""

from __future__ import annotations

from typing import Protocol

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Terms, Usage
from sidecar.http1.client import ClientConnection
from sidecar.http1.framing import ChunkedBody
from sidecar.http1.heads import CHUNKED, UNTIL_CLOSE, RequestHead
from sidecar.http1.response_heads import ResponseHead
from sidecar.proxy.inbound import InboundBody
from sidecar.proxy.metered_tunnel import MeteredTunnel
from sidecar.usage.settled_answer import SettledAnswer


class SwitchedRelay(Protocol):
    """The relay of an answer that switches protocols."""

    upstream: ClientConnection

    def leave(self) -> None:
        """End both connections, when what was written to them is out."""


class Settling(SettledAnswer):
    """Reads the usage of one call's answer, relayed by the proxy."""

    __slots__ = ("_content",)

    def __init__(self, terms: Terms) -> None:
        """Settle a call by `terms`."""
        super().__init__(terms)
        self._content: ChunkedBody | None = None  # takes off the frames of what passes with them

    @property
    def keeps_frames(self) -> bool:
        """Whether a chunked answer passes with the chunks that it came in: in shadow."""
        return self._terms.shadow

    def request_head(self, head: RequestHead, body: InboundBody | None) -> RequestHead:
        """Return the head for the product: it asks for a plain answer, and maybe for its usage.

        In shadow not one byte changes.
        """
        if self._terms.shadow:
            return head
        length = head.length
        if body is not None and self.reads_request:
            held = body.whole
            asking = None if held is None else self.asking_body(head.target, head.fields, held)
            if asking is not None:
                body.replace(asking)
                length = len(asking)
        return RequestHead(
            head.method, head.target, head.path, head.query, head.minor,
            self.request_fields(head.fields), head.host, length, head.keep_alive, head.connection,
            head.expects_continue, head.upgrade, head.request_id, head.last_hop,
        )  # fmt: skip

    def begin(self, head: ResponseHead, *, framed: bool) -> None:
        """Choose how to read the answer by its head; `framed`: chunks come as such."""
        if framed and head.length == CHUNKED:
            self._content = ChunkedBody(decode=True)
        self.began(head.status, head.fields, open_ended=head.length in {CHUNKED, UNTIL_CLOSE})

    def feed(self, data: bytes) -> bytes:
        """Take a part of the answer; return what goes to the client."""
        if self._content is None:
            return super().feed(data)
        content, _ = self._content.feed(data)
        super().feed(content)
        return data

    def end(self, data: bytes) -> bytes:
        """Take the last part of a whole answer; return what goes to the client."""
        if self._content is None:
            return super().end(data)
        content, _ = self._content.feed(data)
        super().end(content)
        return data

    def switch(
        self,
        head: ResponseHead,  # noqa: ARG002 - the shape of a settling
        relay: SwitchedRelay,  # noqa: ARG002
    ) -> MeteredTunnel | None:
        """Return what meters the messages of a tunnel; None where they pass as they come.

        Raises UnknownExtensionError where they must be metered and cannot be.
        """
        return None

    def ended(self, end: AttemptEnd) -> tuple[AttemptEnd, Usage | None] | None:
        """Say what a call has come to whose attempt has ended so; None: it is settled already.

        To be asked once.
        """
        return self.result(end)
