"""The command line in this process: what is printed, where, and with which exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sidecar import __version__, cli
from sidecar.errors import UserError
from sidecar.local_platform.server import LocalPlatform

POLICY = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
routes:
  - name: chat
    match: {path: /chat, methods: [POST]}
    meter: {amount: {json: /n, default: 1}}
unmatched: allow
"""


class Answering(BaseHTTPRequestHandler):
    """A server that gives each path the answer named in `answers`."""

    answers: dict[str, tuple[int, bytes]]

    def do_GET(self) -> None:
        """Answer."""
        status, content = self.answers[self.path]
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, tuple[int, bytes]]]]:
    """A server of set answers, and where it is."""
    answers: dict[str, tuple[int, bytes]] = {}
    handler = type("Handler", (Answering,), {"answers": answers})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.server_port}", answers
        listening.shutdown()
        thread.join()


@pytest.fixture
def policy(tmp_path: Path) -> str:
    """A policy file."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    """Run a command line; return status, stdout and stderr."""
    capsys.readouterr()
    status = cli.main(argv)
    out, err = capsys.readouterr()
    return status, out, err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the name and the version."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"bb-sidecar {__version__}\n"


def test_a_mistake_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The program is named once, and the help that knows more."""
    status, out, err = run(capsys, "token")
    assert (status, out) == (2, "")
    assert err.startswith("bb-sidecar: token: ")
    assert err.endswith("(see bb-sidecar token --help)\n")


def test_a_key_in_a_mistake_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    """What was typed in the wrong place does not end in a build log."""
    _, _, err = run(capsys, "run", "--key-value", "bbas_secret_0123")
    assert "unrecognized arguments: --key-value" in err
    assert "secret_0123" not in err


def test_flags_are_not_abbreviated(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """An abbreviation could come to mean another flag with the next version."""
    status, _, err = run(capsys, "explain", "--pol", policy, "GET", "/")
    assert status == 2
    assert "--policy" in err


def test_ctrl_c_is_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """As shells have it, and without a traceback."""

    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sidecar.policy.check.check_file", interrupted)
    assert run(capsys, "check", policy) == (130, "", "")


def test_check(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """A good file is ok; a bad one has its problems on stdout, and 1."""
    assert run(capsys, "check", policy) == (0, f"{policy}: ok\n", "")
    Path(policy).write_text("version: 2\n")
    status, out, err = run(capsys, "check", policy)
    assert (status, err) == (1, "")
    assert out.startswith(f"{policy}:1:")


def test_check_reads_a_pipe(policy: str) -> None:
    """What `kubectl get` says of a ConfigMap can be checked as it comes."""
    ran = subprocess.run(
        [sys.executable, "-m", "sidecar", "check", "/dev/stdin"],
        input=Path(policy).read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, b"/dev/stdin: ok\n")


def test_check_of_a_folder_is_a_mistake(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """What cannot be read is told as any other mistake."""
    status, out, err = run(capsys, "check", str(tmp_path))
    assert (status, out) == (2, "")
    assert str(tmp_path) in err


@pytest.mark.parametrize("source", ["inline", "file"])
def test_explain_reads_the_body(
    capsys: pytest.CaptureFixture[str], policy: str, tmp_path: Path, source: str
) -> None:
    """The body may stand on the command line or in a file."""
    body = tmp_path / "body"
    body.write_text('{"n": 7}')
    data = f"@{body}" if source == "file" else body.read_text()
    status, out, _ = run(
        capsys, "explain", "--policy", policy, "POST", "/chat",
        "-H", "Content-Type: application/json", "-d", data,
    )  # fmt: skip
    assert status == 0
    assert "chat" in out
    assert "7" in out


def test_explain_without_a_body(capsys: pytest.CaptureFixture[str], policy: str) -> None:
    """Then the body is empty, and the default amount is charged."""
    status, out, _ = run(capsys, "explain", "--policy", policy, "POST", "/chat")
    assert status == 0
    assert "chat" in out


def test_explain_with_a_body_that_is_not_there(
    capsys: pytest.CaptureFixture[str], policy: str
) -> None:
    """A missing file is named."""
    status, _, err = run(
        capsys, "explain", "--policy", policy, "POST", "/chat", "-d", "@/nowhere/body"
    )
    assert status == 2
    assert "/nowhere/body" in err


@pytest.mark.parametrize("header", ["nothing", ": value", "  : value"])
def test_explain_with_a_header_that_is_none(
    capsys: pytest.CaptureFixture[str], policy: str, header: str
) -> None:
    """A header is `Name: value`."""
    status, _, err = run(capsys, "explain", "--policy", policy, "GET", "/", "-H", header)
    assert status == 2
    assert "is not 'Name: value'" in err


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


@pytest.mark.parametrize(
    ("status", "content", "told"),
    [
        (200, b'{"token": 7}', "gave no token"),
        (200, b"[]", "gave no token"),
        (200, b"<html>", "no answer"),
        (404, b'{"detail":"no org"}', 'answered 404: {"detail":"no org"}'),
    ],
)
def test_token_from_something_else(
    capsys: pytest.CaptureFixture[str],
    server: tuple[str, dict[str, tuple[int, bytes]]],
    status: int,
    content: bytes,
    told: str,
) -> None:
    """A server that is no local platform is told, with what it answered."""
    address, answers = server
    answers["/_control/token"] = (status, content)
    ended, out, err = run(capsys, "token", "--platform", f"http://{address}", "--org", "o")
    assert (ended, out) == (2, "")
    assert told in err


def test_health(
    capsys: pytest.CaptureFixture[str], server: tuple[str, dict[str, tuple[int, bytes]]]
) -> None:
    """What the sidecar says is printed; 503 is a 1, for a probe."""
    address, answers = server
    answers["/health"] = (200, b'{"status":"ok"}')
    answers["/ready"] = (503, b'{"ready":false}')
    assert run(capsys, "health", "--admin", address) == (0, '{"status":"ok"}\n', "")
    assert run(capsys, "health", "--admin", address, "--ready") == (1, '{"ready":false}\n', "")


@pytest.mark.parametrize(
    ("admin", "reached"),
    [
        ("0.0.0.0:9901", "127.0.0.1:9901"),
        ("[::]:9901", "[::1]:9901"),
        ("[fe80::1]:80", "[fe80::1]:80"),
        ("10.0.0.7:80", "10.0.0.7:80"),
    ],
)
def test_every_address_is_reached_by_this_machine(admin: str, reached: str) -> None:
    """The same SIDECAR_ADMIN serves the sidecar and its probe."""
    assert cli._reachable(admin) == reached


def test_drain_tells_the_sidecar(
    capsys: pytest.CaptureFixture[str], server: tuple[str, dict[str, tuple[int, bytes]]]
) -> None:
    """For a hook: silent and 0 when told, a line and 2 when nobody is there to tell."""
    address, answers = server
    answers["/drain"] = (202, b'{"draining": true}')
    assert run(capsys, "drain", "--admin", address) == (0, "", "")
    status, out, err = run(capsys, "drain", "--admin", "127.0.0.1:9")
    assert (status, out) == (2, "")
    assert "--admin" in err


@pytest.mark.parametrize(
    "argv", [("run",), ("demo", "--port", "0x1"), ("platform", "--listen", "8")]
)
def test_what_is_wrong_is_told_before_anything_starts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    """No port is opened for a command line that cannot work."""
    for name in ("SIDECAR_POLICY", "SIDECAR_UPSTREAM", "PLATFORM_INTERNAL_KEY"):
        monkeypatch.delenv(name, raising=False)
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert all(line.startswith("bb-sidecar: ") for line in err.splitlines())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_run_starts_one_sidecar_or_several(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    workers: str,
) -> None:
    """One worker is this process; more are processes of their own."""
    started: list[str] = []

    def one(*_: object) -> int:
        started.append("1")
        return 0

    def several(*_: object) -> int:
        started.append("2")
        return 0

    monkeypatch.setattr("sidecar.app.run", one)
    monkeypatch.setattr("sidecar.workers.supervisor.run_workers", several)
    monkeypatch.setenv("PLATFORM_INTERNAL_KEY", "bbas_x")
    argv = ("run", "--policy", policy, "--upstream", "http://127.0.0.1:1", "--workers", workers)
    assert run(capsys, *argv) == (0, "", "")
    assert started == [workers]


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8092", ("127.0.0.1", 8092)), ("[::1]:80", ("::1", 80)), ("a.b:0", ("a.b", 0))],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    """Host and port; brackets are IPv6's."""
    assert cli._address(text) == address


def test_claims_are_an_object() -> None:
    """Anything else has no names to override."""
    assert cli._json_object('{"plan": null}') == {"plan": None}
    for text in ("[1]", "plan=pro", "7", '"x"', ""):
        with pytest.raises(argparse.ArgumentTypeError):
            cli._json_object(text)


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command names its flags and ends with 0."""
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    listed = capsys.readouterr().out
    for command in ("run", "demo", "platform", "token", "check", "explain", "health"):
        assert f"  {command} " in listed
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert f"bb-sidecar {command}" in capsys.readouterr().out


def test_several_problems_are_several_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    """A report of many problems stays one problem a line."""

    def wrong(_path: Path) -> None:
        raise UserError("one\ntwo")

    monkeypatch.setattr("sidecar.policy.check.check_file", wrong)
    assert run(capsys, "check", policy) == (2, "", "bb-sidecar: one\nbb-sidecar: two\n")


def test_json_claims_reach_the_platform(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given is sent, what is not given is left out."""
    sent: list[object] = []

    def call(url: str, body: dict[str, object], *, mend: str) -> dict[str, object]:
        sent.append((url, json.loads(json.dumps(body))))
        assert "bb-sidecar platform" in mend
        return {"token": "t"}

    monkeypatch.setattr(cli, "_call", call)
    argv = ("token", "--org", "o", "--role", "r", "--claims", '{"apps": []}')
    assert run(capsys, *argv) == (0, "t\n", "")
    wanted = {"org_id": "o", "role": "r", "claims": {"apps": []}}
    assert sent == [("http://127.0.0.1:8092/_control/token", wanted)]
