"""What the commands ask on this machine, and how they tell whatever answers there."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.local_platform.server import LocalPlatform


@dataclass
class Answers:
    """A server of set answers: where it is, what it says, and what it was sent."""

    address: str = ""
    of: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    sent: list[bytes] = field(default_factory=list)


class Answering(BaseHTTPRequestHandler):
    """Gives each path the answer that was set for it."""

    answers: Answers

    def do_GET(self) -> None:
        """Answer."""
        self.answers.sent.append(self.rfile.read(int(self.headers["content-length"] or 0)))
        status, content = self.answers.of[self.path]
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Answers]:
    """A server of set answers."""
    answers = Answers()
    handler = type("Handler", (Answering,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        answers.address = f"127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield answers
        listening.shutdown()
        thread.join()


@pytest.fixture
def stranger() -> Iterator[str]:
    """Something that listens and speaks no HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(b"\x00\x1b[2Jnot http\r\n\r\n")

        thread = threading.Thread(target=speak, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join()


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Run a command line; return status, stdout and stderr."""
    capsys.readouterr()
    status = main(argv)
    out, err = capsys.readouterr()
    return status, out, err


async def test_token_prints_what_the_platform_signs(capsys: pytest.CaptureFixture[str]) -> None:
    """The token alone, so that a shell can take it."""
    async with LocalPlatform() as platform:
        assert platform.seed is not None
        org = platform.seed.orgs[0].id
        argv = ("token", "--platform", f"{platform.url}/", "--org", org, "--ttl", "60")
        status, out, err = await asyncio.to_thread(run, capsys, *argv)
    assert (status, err) == (0, "")
    assert out.count(".") == 2
    assert len(out.splitlines()) == 1


def test_the_platform_of_the_environment_signs(
    server: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """PLATFORM_API_URL, as the platform's export lines set it."""
    server.of["/_control/token"] = (200, b'{"token": "t"}')
    monkeypatch.setenv("PLATFORM_API_URL", f"http://{server.address}")

    assert run(capsys, "token", "--org", "o") == (0, "t\n", "")


def test_what_is_given_reaches_the_platform(
    capsys: pytest.CaptureFixture[str], server: Answers
) -> None:
    """What is given is sent, what is not given is left out."""
    server.of["/_control/token"] = (200, b'{"token": "t"}')
    argv = ("token", "--platform", f"http://{server.address}", "--org", "o", "--role", "r")
    assert run(capsys, *argv, "--claims", '{"apps": []}') == (0, "t\n", "")
    [sent] = server.sent
    assert json.loads(sent) == {"org_id": "o", "role": "r", "claims": {"apps": []}}


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (200, b'{"token": 7}', "gave no token"),
        (200, b"[]", "gave no token"),
        (200, b"<html>", "no answer"),
        (404, b'{"detail":\n"no org"}', "answered 404: no org"),
    ],
)
def test_token_from_something_else(
    capsys: pytest.CaptureFixture[str], server: Answers, status: int, content: bytes, told: str
) -> None:
    """A server that is no local platform is told, with what it answered, on one line."""
    server.of["/_control/token"] = (status, content)
    ended, out, err = run(capsys, "token", "--platform", f"http://{server.address}", "--org", "o")
    assert (ended, out) == (2, "")
    assert told in err
    assert len(err.splitlines()) == 1


def test_health(capsys: pytest.CaptureFixture[str], server: Answers) -> None:
    """What the sidecar says is printed; 503 is a 1, for a probe."""
    server.of["/health"] = (200, b'{"status":"ok"}')
    server.of["/ready"] = (503, b'{"ready":false}')
    argv = ("health", "--admin", server.address)
    assert run(capsys, *argv) == (0, '{"status":"ok"}\n', "")
    assert run(capsys, *argv, "--ready") == (1, '{"ready":false}\n', "")


def test_drain_tells_the_sidecar(capsys: pytest.CaptureFixture[str], server: Answers) -> None:
    """For a hook: silent and 0 when told, a line and 2 when nobody is there to tell."""
    server.of["/drain"] = (202, b'{"draining": true}')
    assert run(capsys, "drain", "--admin", server.address) == (0, "", "")
    status, out, err = run(capsys, "drain", "--admin", "127.0.0.1:9")
    assert (status, out) == (2, "")
    assert "--admin" in err


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("token", "--org", "o", "--platform", "http://{}"), 2),
        (("drain", "--admin", "{}"), 2),
        (("health", "--admin", "{}"), 1),
    ],
)
def test_a_stranger_on_the_port_is_told(
    capsys: pytest.CaptureFixture[str], stranger: str, argv: tuple[str, ...], status: int
) -> None:
    """Something that is not HTTP is one line, and moves no cursor."""
    ended, out, err = run(capsys, *(word.format(stranger) for word in argv))
    assert (ended, out) == (status, "")
    assert stranger in err
    assert len(err.splitlines()) == 1
    assert err.removesuffix("\n").isprintable()


@pytest.mark.parametrize("admin", ["9901", "nowhere", "a b:1", "[::1:9", ":9901", "h:x", "h:70000"])
@pytest.mark.parametrize("command", ["health", "drain"])
def test_an_admin_address_that_is_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, admin: str
) -> None:
    """It is told under the name by which it was given."""
    status, out, err = run(capsys, command, "--admin", admin)
    assert (status, out) == (2, "")
    assert err.startswith(f"bb-sidecar: --admin: {admin!r} ")
    monkeypatch.setenv("SIDECAR_ADMIN", admin)
    status, out, err = run(capsys, command)
    assert (status, out) == (2, "")
    assert err.startswith(f"bb-sidecar: SIDECAR_ADMIN: {admin!r} ")
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "x", "http://", "http://[::1", "http://h:8 0", "http://h:99999", "http://h/p"],
)
def test_a_platform_at_no_url(capsys: pytest.CaptureFixture[str], url: str) -> None:
    """The local platform is found by scheme, host and port."""
    status, out, err = run(capsys, "token", "--org", "o", "--platform", url)
    assert (status, out) == (2, "")
    assert err.startswith(f"bb-sidecar: --platform: {url!r} ")
    assert len(err.splitlines()) == 1
