"""The two directions of a stream."""

from __future__ import annotations

from sidecar.frontends.envoy.processing_answers import passing
from sidecar.frontends.envoy.streams import ProcessingStream
from tests.fakes.rpcs import ProcessingRpc, request_head


async def test_messages_are_read_until_the_end() -> None:
    """And answered."""
    stream = ProcessingStream(rpc := ProcessingRpc(request_head()))
    assert await stream.read() is not None
    await stream.write(passing("request_headers"))
    assert await stream.read() is None
    assert rpc.steps == ["request_headers"]
    assert not stream.gone
    rpc.gone = True
    assert stream.gone
