"""CONNECT: what is sent to a proxy, and which answers open the way."""

from __future__ import annotations

import asyncio
import socket

import pytest

from sidecar.http1.tunnel import Proxy, open_tunnel

PROXY = Proxy("proxy.test", 3128, "Basic c2VjcmV0")


async def asked(*parts: bytes, host: str = "platform.test") -> bytes:
    """Open a tunnel to a proxy that answers in these parts, then closes; return what it read."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        opening = asyncio.ensure_future(open_tunnel(ours, PROXY, host, 443))
        head = await loop.sock_recv(theirs, 65536)
        for part in parts:
            await loop.sock_sendall(theirs, part)
            await asyncio.sleep(0)
        theirs.shutdown(socket.SHUT_WR)
        await opening
        return head


async def test_an_address_of_ipv6_stands_in_brackets() -> None:
    """Or its port could not be told from it."""
    head = await asked(b"HTTP/1.1 200 OK\r\n\r\n", host="2001:db8::1")
    assert head.startswith(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        [b"HTTP/1.1 200 Connection established\r\n\r\n"],
        [b"HTTP/1.0 200 OK\r\nVia: a\r\n\r\n"],
        [b"HTTP/1.1 2", b"00 OK\r", b"\n\r\n"],
        [b"HTTP/1.1 204\r\n\r\n"],
    ],
)
async def test_every_success_opens_the_way(answer: list[bytes]) -> None:
    """In whatever parts it comes (RFC 9110, section 9.3.6: any 2xx)."""
    assert await asked(*answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "answered 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "answered 502"),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://elsewhere\r\n\r\n", "answered 301"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "unclear answer"),
        (b"HTTP/2 200\r\n\r\n", "unclear answer"),
        (b"HTTP/1.1 abc\r\n\r\n", "unclear answer"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "unclear answer"),
        (b"HTTP/1.1 200 OK\r\n", "no answer"),
        (b"", "no answer"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000, "no answer"),
    ],
)
async def test_any_other_answer_is_an_error(answer: bytes, words: str) -> None:
    """It names the proxy, and not what was sent to it."""
    with pytest.raises(OSError, match=words) as refused:
        await asked(answer)
    assert "http://proxy.test:3128" in str(refused.value)
    assert "c2VjcmV0" not in str(refused.value)


def test_a_proxy_does_not_show_its_credentials() -> None:
    """Neither in its URL nor in its repr."""
    assert "c2VjcmV0" not in repr(PROXY) + PROXY.url
    assert Proxy("2001:db8::1", 3128).url == "http://[2001:db8::1]:3128"
