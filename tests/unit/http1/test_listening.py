"""Listening: both families at once, and which flag is at fault where it fails."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from sidecar.http1.listening import bound, listen, refusal

FLAGS = {"host_flag": "--host", "port_flag": "--port"}


@pytest.mark.parametrize("client", ["127.0.0.1", "::1"])
async def test_all_addresses_are_those_of_both_families(client: str) -> None:
    """`::` is reached by IPv4 too, which event loops do not do by themselves."""
    server = await listen(asyncio.Protocol, "::", 0)
    port = server.sockets[0].getsockname()[1]
    _, writer = await asyncio.open_connection(client, port)
    writer.close()
    server.close()


async def test_one_address_is_that_address() -> None:
    """And no other."""
    server = await listen(asyncio.Protocol, "127.0.0.1", 0)
    assert [each.getsockname()[0] for each in server.sockets] == ["127.0.0.1"]
    server.close()


async def test_processes_can_share_a_port() -> None:
    """Where each asks for it."""
    with bound("::", 0, reuse_port=True) as held:
        port = held.getsockname()[1]
        servers = [await listen(asyncio.Protocol, "::", port, reuse_port=True) for _ in range(2)]
        for server in servers:
            server.close()


async def failure(host: str, port: int) -> str:
    """Return what is said of an address that cannot be listened on."""
    with pytest.raises(OSError) as raised:  # noqa: PT011 - what it says is what is tested
        await listen(asyncio.Protocol, host, port)
    return str(refusal(raised.value, host, port, **FLAGS))


async def test_a_port_in_use() -> None:
    """Said once, with the address and the fix."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert await failure("127.0.0.1", port) == (
            f"--port: 127.0.0.1:{port} is in use: give a free port, or stop what listens there"
        )


async def test_all_addresses_with_a_port_in_use() -> None:
    """The address is written as in a URL."""
    with socket.create_server(("::", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        assert (await failure("::", port)).startswith(f"--port: [::]:{port} is in use")


async def test_a_host_that_is_not_this_machines() -> None:
    """The host is at fault, and not the port."""
    assert await failure("192.0.2.1", 0) == (
        "--host: '192.0.2.1' is no address of this machine: give one of its addresses, such as"
        " 127.0.0.1"
    )


async def test_a_host_that_no_one_knows() -> None:
    """A name that does not resolve."""
    assert (await failure("notahost.invalid", 8180)).startswith(
        "--host: 'notahost.invalid' cannot be resolved ("
    )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "is not permitted: give a port above 1023"),
        (errno.EMFILE, "cannot be listened on: Too many open files: give another address"),
    ],
)
def test_other_reasons(number: int, reason: str) -> None:
    """In the system's own words where none fits better."""
    said = str(refusal(OSError(number, "anything"), "0.0.0.0", 80, **FLAGS))
    assert said == f"--port: 0.0.0.0:80 {reason}"


async def test_a_port_is_free_for_several_processes_after_one_that_closed_connections() -> None:
    """Its side closed first, so the kernel keeps the connection in TIME-WAIT for a minute."""
    server = await listen(asyncio.Protocol, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    with socket.socket() as single:
        single.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        single.bind(("127.0.0.1", port))
        single.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = single.accept()
            accepted.close()
            assert client.recv(1) == b""
    bound("127.0.0.1", port, reuse_port=True).close()
