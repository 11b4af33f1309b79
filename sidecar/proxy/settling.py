"""How the proxy settles a call by its answer: a settled answer with its own heads and bodies."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from sidecar.domain.model import AttemptEnd
from sidecar.domain.usage import Usage
from sidecar.http1.client import ClientConnection
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

    __slots__ = ()

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
        return replace(head, fields=self.request_fields(head.fields), length=length)

    def begin(self, head: ResponseHead) -> None:
        """Choose how to read the answer by its head."""
        self.began(head.status, head.fields, open_ended=head.length in {CHUNKED, UNTIL_CLOSE})

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
