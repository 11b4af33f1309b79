from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from sidecar.admin.listening import listen_at, listen_on, remove_socket
from sidecar.admin.wire import AdminConnections, AdminRequest, as_json
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.errors import UserError


async def answer(_request: AdminRequest) -> OwnAnswer:
    """Answer anything."""
    return as_json({})


async def test_an_address_that_is_taken_names_the_flag() -> None:
    """For whoever has to change it."""
    server = await listen_at("--metrics", "127.0.0.1", 0, AdminConnections(answer))
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(UserError, match=f"--metrics: 127.0.0.1:{port} is in use"):
        await listen_at("--metrics", "127.0.0.1", port, AdminConnections(answer))
    server.close()


async def test_a_socket_that_was_left_behind_is_taken_over(tmp_path: Path) -> None:
    """As after a SIGKILL: its file stays, and no process listens."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server = await listen_on("--admin-socket", path, AdminConnections(answer))
    _, writer = await asyncio.open_unix_connection(str(path))
    writer.close()
    await writer.wait_closed()
    server.close()
    remove_socket(path)
    remove_socket(path)  # it may be gone


async def test_a_socket_in_use_and_a_file_are_left_alone(tmp_path: Path) -> None:
    """They are another process's."""
    path = tmp_path / "s"
    server = await listen_on("--admin-socket", path, AdminConnections(answer))
    with pytest.raises(UserError, match="another process listens there"):
        await listen_on("--admin-socket", path, AdminConnections(answer))
    server.close()
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(UserError, match="a file that is no socket"):
        await listen_on("--admin-socket", file, AdminConnections(answer))
    assert file.read_text() == "mine"


async def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """It names the flag and the path."""
    with pytest.raises(UserError, match=r"--admin-socket: .*/no/s cannot be listened on: No such"):
        await listen_on("--admin-socket", tmp_path / "no" / "s", AdminConnections(answer))
