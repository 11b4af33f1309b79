"""Where the platform listens."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from sidecar.domain.errors import UserError
from sidecar.local_platform import LocalPlatform


async def test_a_port_in_use_is_named_with_the_fix() -> None:
    """As `bb-sidecar run` names it."""
    platform = LocalPlatform()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError) as raised:
            await platform.start("127.0.0.1", port)
    await platform.close()
    said = f"--listen: 127.0.0.1:{port} is in use: give a free port, or stop what listens there"
    assert str(raised.value) == said


async def test_ipv6_is_written_in_brackets() -> None:
    """The URL works as it is told (RFC 3986, 3.2.2), for control too."""
    platform = LocalPlatform()
    await platform.start("::1", 0)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{platform.url}/_control/faults") as answer,
    ):
        url = platform.url
    await platform.close()

    assert url.startswith("http://[::1]:")
    assert answer.status == 200
