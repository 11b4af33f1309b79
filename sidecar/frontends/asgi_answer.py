"""One admitted call at an ASGI application: its body on the way in, its answer on the way out."""

from __future__ import annotations

from typing import Final

from sidecar.domain.model import AttemptEnd
from sidecar.frontends.asgi_types import AsgiMessage, AsgiReceive, AsgiSend
from sidecar.frontends.bodies import HeldBody
from sidecar.frontends.door import Visit
from sidecar.frontends.long_parts import read_part

_SWITCHING_PROTOCOLS: Final = 101
_FORBIDDEN: Final = 403
_FAULT: Final = 500


class AsgiAnswer:
    """Marks the start of the answer, settles by its parts, and closes the attempt with the last.

    Every message passes at once. What a middleware inside of ours has made of an answer is what is
    read of it. The attempt has failed where the application raises or returns
    before its answer is whole, unless the client had left by then: the product ran for it.
    """

    __slots__ = ("_body", "_left", "_receive", "_send", "_status", "_visit")

    def __init__(
        self,
        visit: Visit,
        body: HeldBody,
        receive: AsgiReceive,
        send: AsgiSend,
    ) -> None:
        self._visit = visit
        self._body = body
        self._receive = receive
        self._send = send
        self._status = 0
        self._left = False

    async def receive(self) -> AsgiMessage:
        """Replay what was read of the body for the amount; then what comes."""
        piece = self._body.take()
        if piece is not None:
            return {
                "type": "http.request",
                "body": piece,
                "more_body": self._body.held or not self._body.whole,
            }
        message = await self._receive()
        if message["type"] in {"http.disconnect", "websocket.disconnect"}:
            self._left = True
        return message

    async def send(self, message: AsgiMessage) -> None:
        """Pass a message on, marked where it begins the answer."""
        match message["type"]:
            case "http.response.start" | "websocket.http.response.start":
                self._status = int(message["status"])
                message = self._marked(message)
            case "websocket.accept":
                self._status = _SWITCHING_PROTOCOLS
                message = self._marked(message)
            case "websocket.close" if not self._status:
                self._status = _FORBIDDEN
            case "http.response.body":
                passed = await self._settled(message)
                if passed is None:
                    return
                message = passed
            case _:
                pass
        try:
            await self._send(message)
        except OSError:  # how a server says that the client has left
            self._left = True
            raise
        if _is_last(message):
            self._visit.end(self._status)

    def failed(self) -> None:
        """Close the attempt of an application that has raised, or returned too early."""
        if self._left or self._status == _SWITCHING_PROTOCOLS:
            self._visit.end(self._status)
        else:
            self._visit.end(self._status or _FAULT, AttemptEnd.FAILED)

    def cut_off(self) -> None:
        """Close the attempt of an application that was cancelled: the product ran."""
        self._visit.end(self._status)

    def _marked(self, message: AsgiMessage) -> AsgiMessage:
        fields = [(bytes(name), bytes(value)) for name, value in message.get("headers") or ()]
        settled = self._visit.settled
        if settled is not None:
            settled.began(self._status, [(name.lower(), value) for name, value in fields])
        return {**message, "headers": self._visit.mark(fields)}

    async def _settled(self, message: AsgiMessage) -> AsgiMessage | None:
        """Read a part of the answer; None where nothing of it is to be sent now."""
        settled = self._visit.settled
        if settled is None:
            return message
        data = message.get("body") or b""
        last = not message.get("more_body", False)
        passed = await read_part(self._visit, settled, data, last=last)
        return {**message, "body": passed} if passed or last or not data else None


def _is_last(message: AsgiMessage) -> bool:
    match message["type"]:
        case "http.response.body" | "http.response.zerocopysend" | "websocket.http.response.body":
            return not message.get("more_body", False)
        case "http.response.pathsend" | "websocket.close":
            return True
        case _:
            return False
