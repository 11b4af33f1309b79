from __future__ import annotations

import asyncio
import logging

import pytest

from sidecar.admin.server import AdminServer
from tests.fakes.admin import StaticMetrics, StaticState


async def answer_to(raw: bytes) -> bytes:
    """Send bytes to an admin port and return what comes back until it closes."""
    server = AdminServer(StaticState(), StaticMetrics())
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.address)
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.close()
    return answer


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01 not http\r\n\r\n",
        b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nbad name: x\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_a_plain_400(raw: bytes) -> None:
    """Nothing is repeated, no version is named, the connection closes."""
    head, _, body = (await answer_to(raw)).partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == b"400"
    assert b"server: bb-sidecar\r\n" in head.lower() + b"\r\n"
    assert body == b'{"detail":"not a request that this port understands"}'


async def test_what_is_not_http_costs_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """No traceback for a port scanner."""
    with caplog.at_level(logging.INFO):
        await answer_to(b"GET / HTTP/9.9\r\n\r\n")
    assert [(r.message, r.exc_info) for r in caplog.records] == [("admin_bad_request", None)]
