"""Where the platform listens."""

from __future__ import annotations

import aiohttp

from sidecar.local_platform import LocalPlatform


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
