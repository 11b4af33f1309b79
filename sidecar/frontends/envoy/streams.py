"""The two directions of one ext_proc stream."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse


class ProcessingStream:
    """Envoy's messages, and ours: each of its messages waits for one answer."""

    def __init__(self, context: Any) -> None:  # noqa: ANN401 - grpcio has no types
        self._context = context

    @property
    def gone(self) -> bool:
        """Whether Envoy has ended the stream, so that nothing reaches it any more."""
        gone: bool = self._context.cancelled()
        return gone

    async def read(self) -> ProcessingRequest | None:
        """Wait for the next message; None at the end."""
        message = await self._context.read()
        return None if message is grpc.aio.EOF else message

    async def soon(self, seconds: float) -> ProcessingRequest | None:
        """Wait for the next message, not longer than this. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            return await self.read()

    async def fail(self, why: str) -> None:
        """End the stream with an error, for which Envoy refuses the call. It raises."""
        await self._context.abort(grpc.StatusCode.FAILED_PRECONDITION, why)

    async def write(self, response: ProcessingResponse) -> None:
        """Answer the last message."""
        await self._context.write(response)
