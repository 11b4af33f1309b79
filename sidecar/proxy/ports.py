"""What the parts of one exchange need of each other, where both must know the other."""

from __future__ import annotations

from typing import Protocol

from sidecar.http1.errors import ProtocolError


class Sender(Protocol):
    """What the body needs of the connection it comes from."""

    def pause_body(self) -> None:
        """Read no more for now."""

    def resume_body(self) -> None:
        """Read again."""

    def write_interim(self, data: bytes) -> None:
        """Send a 1xx."""


class Answering(Protocol):
    """What relays the product's answer.

    `until_close`: the end of the client's connection is the end of the answer.
    """

    until_close: bool

    def cancel(self) -> None:
        """End the answer: the client has left."""

    def break_off(self, error: ProtocolError) -> None:
        """End the answer: the client broke its own request."""

    def time_out(self) -> None:
        """End the answer: the product stalls."""

    def pause(self) -> None:
        """Read the product no further for now."""

    def resume(self) -> None:
        """Read the product again."""


class OpenExchange(Protocol):
    """An exchange, as its connection needs it."""

    keep: bool
    answered: bool
    relay: Answering | None

    def cancel(self) -> None:
        """End it: the client has gone."""

    def break_off(self, error: ProtocolError) -> None:
        """End it: the request's body is broken."""


class TunnelEnd(Protocol):
    """What a client's bytes go to once its connection is a tunnel."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def is_closing(self) -> bool:
        """Whether nothing can be sent any more."""
