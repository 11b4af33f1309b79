"""The body of a call, which Envoy shows where a decision needs it."""

from __future__ import annotations

from typing import Final

from envoy.extensions.filters.http.ext_proc.v3.processing_mode_pb2 import ProcessingMode
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest

from sidecar.domain.errors import SidecarError
from sidecar.domain.model import Headers
from sidecar.frontends.bodies import BodyTooSlowError, ClientLeftError, HeldBody
from sidecar.frontends.envoy.attempts import attributes_of, reached_none
from sidecar.frontends.envoy.head_fields import forged_names
from sidecar.frontends.envoy.processing_answers import passing, show_next
from sidecar.frontends.envoy.sent_body import sent_body
from sidecar.frontends.envoy.streams import ProcessingStream
from sidecar.proxy.body_memory import BodyMemory

BODY_SECONDS: Final = 300.0
"""How long Envoy may wait for a whole body: its own limit for a silent stream."""

_HELD_BACK: Final = frozenset({ProcessingMode.BUFFERED, ProcessingMode.BUFFERED_PARTIAL})
"""Modes in which the request waits in Envoy until its body was decided on."""

_OF_THE_BODY: Final = frozenset({"request_body", "request_trailers"})

_NOT_SHOWN: Final = (
    "ext_proc: this route needs the request's body, and Envoy does not show it: set "
    "allow_mode_override: true and the initial_metadata of docs/envoy.md, or request_body_mode: "
    "BUFFERED"
)
_FORWARDED: Final = (
    "ext_proc: Envoy has forwarded a call before it was decided on: it says in its "
    "initial_metadata that it obeys mode overrides, and does not: set allow_mode_override: true"
)


_OUT_OF_ORDER: Final = "ext_proc: a request's body was to come, and another message has come: {}"


class BodyNotShownError(SidecarError):
    """Envoy is not set up to show bodies, so that the call cannot be priced."""


class ShownBody:
    """A `BodySource`. The head goes on to wait for the body, without what a client made up in it.

    `step` is the message of Envoy's that waits for an answer now.
    """

    def __init__(
        self,
        stream: ProcessingStream,
        first: ProcessingRequest,
        fields: Headers,
        memory: BodyMemory,
        *,
        overrides: bool,
    ) -> None:
        """Show the body of the call that begins with `first`.

        `overrides`: Envoy says that it shows what we ask it for.
        """
        self.step = "request_headers"
        self.whole: bytes | None = b"" if first.request_headers.end_of_stream else None
        """The body, once all of it is here."""
        self._stream = stream
        self._fields = fields
        self._memory = memory
        mode = first.protocol_config.request_body_mode
        self._mode = ProcessingMode.BUFFERED if overrides and mode not in _HELD_BACK else mode
        self._held: HeldBody | None = None

    async def read(self, limit: int, holder: str = "", decoder: int = 0) -> bytes | None:
        """Return the whole body; None when it is longer than `limit` bytes.

        Raises NoRoomError, BodyTooSlowError, ClientLeftError, and BodyNotShownError.
        """
        if self._held is None:
            self._held = await self._show()
        return await self._held.read(limit, holder, decoder)

    def let_go(self) -> None:
        """Count nothing more of it."""
        if self._held is not None:
            self._held.let_go()

    async def _show(self) -> HeldBody:
        if self.whole is not None:
            return sent_body(self.whole, self._memory, partial=False)
        if self._mode not in _HELD_BACK:
            raise BodyNotShownError(_NOT_SHOWN)
        waiting = passing(self.step, removed=forged_names(self._fields))
        show_next(waiting, request_body=self._mode)
        await self._stream.write(waiting)
        try:
            message = await self._stream.soon(BODY_SECONDS)
        except TimeoutError as error:
            raise BodyTooSlowError("the body is late") from error
        if message is None:
            raise ClientLeftError("the client left before its body was whole")
        self.step = message.WhichOneof("request") or ""
        if self.step == "response_headers":
            if not reached_none(attributes_of(message)):
                raise BodyNotShownError(_FORWARDED)
            raise ClientLeftError("Envoy has answered in place of the product")
        if self.step not in _OF_THE_BODY:
            came, self.step = self.step, "request_body"
            raise BodyNotShownError(_OUT_OF_ORDER.format(came or "none"))
        shown = message.request_body
        if self.step == "request_body" and (
            shown.end_of_stream or self._mode == ProcessingMode.BUFFERED
        ):
            self.whole = shown.body
        # When trailers come without a body, the head cannot be changed any more: that has no price.
        return sent_body(shown.body, self._memory, partial=self.whole is None)
