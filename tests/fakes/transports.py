"""A transport that goes nowhere."""

from __future__ import annotations

import asyncio


class DeafTransport(asyncio.Transport):
    """Takes what is written, closes when told, and never says a word of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self.reading = True
        self.aborted = False
        self.waiting = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep the bytes."""
        self.written += bytes(data)

    def close(self) -> None:
        """Close, gently."""
        self.closed = True

    def abort(self) -> None:
        """Close at once."""
        self.aborted = True

    def is_closing(self) -> bool:
        """Say whether it was closed in any way."""
        return self.closed or self.aborted

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        """Return what a test says is `waiting`."""
        return self.waiting
