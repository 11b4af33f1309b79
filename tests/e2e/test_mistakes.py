"""A user's mistakes: one line each on stderr that names the thing and the fix, exit status 2."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from signal import SIGHUP, SIGTERM
from unittest import mock

import pytest

from tests.e2e.harness import KEY, Place, policy
from tests.e2e.programs import run
from tests.fakes import command_line

MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "no command": ([], ["COMMAND"]),
    "unknown command": (["fly"], ["invalid choice: 'fly'"]),
    "unknown flag": (["run", "--speed", "9"], ["run: unknown argument --speed"]),
    "check nothing": (["check"], ["FILE"]),
    "check a missing file": (["check", "/nowhere/policy.yaml"], ["/nowhere/policy.yaml"]),
    "explain without a policy": (["explain", "GET", "/"], ["--policy"]),
    "explain a missing policy": (
        ["explain", "--policy", "/nowhere/p.yaml", "GET", "/"],
        ["/nowhere/p.yaml"],
    ),
    "token without an org": (["token"], ["--org"]),
    "token from nobody": (
        ["token", "--org", "a", "--platform", "http://127.0.0.1:9"],
        ["http://127.0.0.1:9/_control/token", "bb-sidecar platform"],
    ),
    "token from no URL": (
        ["token", "--org", "a", "--platform", "ftp://x"],
        ["--platform: 'ftp://x' is not an http or https URL"],
    ),
    "health of no address": (["health", "--admin", "x"], ["--admin: 'x' is not an address"]),
    "drain at no address": (["drain", "--admin", "a b:1"], ["--admin: 'a b:1'"]),
    "token with claims that are none": (
        ["token", "--org", "a", "--claims", "[1]"],
        ["'[1]' is not a JSON object"],
    ),
    "platform at no address": (["platform", "--listen", "x"], ["'x' is not an address"]),
    "platform at a port too high": (["platform", "--listen", "a:70000"], ["a port that is not"]),
    "platform without its seed": (["platform", "--seed", "/nowhere/s.yaml"], ["/nowhere/s.yaml"]),
    "platform in no folder": (["platform", "--db", "/nowhere/p.db"], ["/nowhere/p.db"]),
    "demo at no port": (["demo", "--port", "web"], ["'web' is not a port"]),
}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A policy that is right, and nobody around."""
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    nobody = "http://127.0.0.1:9"
    environ = {"PLATFORM_INTERNAL_KEY": KEY, "APP_SESSION_SECRET": "x" * 32}
    return Place(policy_file, nobody, nobody, nobody, environ)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


Here = Callable[..., tuple[int, str, str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Here:
    """Run a command in this process, with `environ` alone: a mistake is found before it starts."""

    def run_here(*args: str, environ: Mapping[str, str] | None = None) -> tuple[int, str, str]:
        handlers = {number: signal.getsignal(number) for number in (SIGTERM, SIGHUP)}
        try:
            with mock.patch.dict(os.environ, environ or {}, clear=True):
                status, out, err = command_line.run(capsys, *args)
        finally:
            # What `run` changes where it does not start, as its process ends.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return status, out, err.removesuffix("\n")

    return run_here


def assert_told(answer: tuple[int, str, str], told: Sequence[str], *, lines: int = 1) -> None:
    """Check that a command ended as on a user's mistake, and said what it must."""
    status, out, err = answer
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == lines, err
    for line in err.splitlines():
        assert line.startswith("bb-sidecar: ")
    for text in told:
        assert text in err
    assert "Traceback" not in err


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_on_the_command_line(here: Here, name: str) -> None:
    """Whatever the command, the mistake is told in one line."""
    args, told = MISTAKES[name]
    assert_told(here(*args), told)


def test_run_without_anything(here: Here) -> None:
    """All that is missing is told at once, a line each."""
    answer = here("run")
    assert_told(answer, ["--policy", "--upstream", "PLATFORM_INTERNAL_KEY"], lines=3)


def test_run_with_many_bad_values(here: Here, place: Place) -> None:
    """Every bad value is told at once, each under the name by which it was given."""
    flags = place.flags(upstream="ftp://x", port="99999", admin="nowhere", workers="many")
    environ = {**place.environ, "SIDECAR_DRAIN_SECONDS": "soon"}
    told = ["--upstream: 'ftp://x'", "--port: '99999'", "--admin: 'nowhere'", "--workers: 'many'"]
    told += ["SIDECAR_DRAIN_SECONDS: 'soon'"]
    assert_told(here("run", *flags, environ=environ), told, lines=5)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://:secret@h?tls=true", "REDIS_URL: the value has the unknown parameter 'tls'"),
        ("redis://:sec#ret@h", "'#' as %23"),
        ("rediss://:secret@h?ssl_ca_certs=/nowhere", "ssl_ca_certs"),
    ],
)
def test_run_with_a_redis_that_cannot_be_used(
    here: Here, place: Place, url: str, told: str
) -> None:
    """Found at the start; the password is not repeated."""
    environ = {**place.environ, "REDIS_URL": url}
    answer = here("run", *place.flags(), environ=environ)
    assert_told(answer, [told])
    assert "sec" not in answer[2].replace("second", "")


def test_run_without_its_policy(here: Here, place: Place) -> None:
    """A policy file that is not there is named."""
    flags = place.flags(policy="/nowhere/policy.yaml")
    assert_told(here("run", *flags, environ=place.environ), ["/nowhere/policy.yaml"])


def test_run_with_a_bad_policy(here: Here, place: Place) -> None:
    """Every problem has a line with its position."""
    place.policy_file.write_text("version: 1\nproduct: acme\nroutes:\n  - {name: a}\nx: 1\n")
    answer = here("run", *place.flags(), environ=place.environ)
    assert_told(answer, [f"{place.policy_file}:{at}: " for at in ("4:5", "5:1")], lines=3)


def test_run_with_a_secret_that_is_not_set(here: Here, place: Place) -> None:
    """A policy that names a variable which is not there cannot be used."""
    environ = {"PLATFORM_INTERNAL_KEY": KEY}
    assert_told(here("run", *place.flags(), environ=environ), ["APP_SESSION_SECRET"])


def test_run_with_a_key_file_that_cannot_be_used(here: Here, place: Place, tmp_path: Path) -> None:
    """A missing, an empty and a wrong key file are told without what they hold."""
    empty, wrong = tmp_path / "empty", tmp_path / "wrong"
    empty.write_text("\n")
    wrong.write_text("bbas_one bbas_two\n")
    for path, told in (("/nowhere/key", "No such file"), (empty, "is empty"), (wrong, "spaces")):
        flags = place.flags(key_file=path)
        answer = here("run", *flags, environ={"APP_SESSION_SECRET": "x" * 32})
        assert_told(answer, [str(path), told])
        assert "bbas_one" not in answer[2]


def test_run_with_a_key_in_quotes(here: Here, place: Place) -> None:
    """An env file keeps the quotes that a shell would take away."""
    environ = {**place.environ, "PLATFORM_INTERNAL_KEY": f"'{KEY}'"}
    answer = here("run", *place.flags(), environ=environ)
    assert_told(answer, ["PLATFORM_INTERNAL_KEY: the value is in quotes: give the bbas_ key"])
    assert KEY not in answer[2]


def test_run_with_a_key_as_a_flag(here: Here, place: Place) -> None:
    """A key is never a flag's value: other users can see those."""
    flags = [*place.flags(), "--key", "bbas_shown_to_all"]
    answer = here("run", *flags, environ=place.environ)
    assert_told(answer, ["unknown argument --key; did you mean --key-file?"])
    assert "bbas_shown_to_all" not in answer[2]


@pytest.mark.parametrize("flag", ["port", "admin"])
async def test_run_on_a_port_that_is_taken(place: Place, taken: int, flag: str) -> None:
    """A port in use is named, with the flag that sets it."""
    value = str(taken) if flag == "port" else f"127.0.0.1:{taken}"
    status, _, err = await run("run", *place.flags(**{flag: value}), environ=place.environ)
    assert status == 2
    told = [line for line in err.splitlines() if line.startswith("bb-sidecar: ")]
    assert len(told) == 1
    assert f"--{flag}: 127.0.0.1:{taken}" in told[0]
    assert "in use" in told[0]
    assert "Traceback" not in err


@pytest.mark.parametrize("flag", ["port", "admin-port", "platform-port", "upstream-port"])
async def test_demo_on_a_port_that_is_taken(taken: int, flag: str) -> None:
    """The demo names the port that it cannot have."""
    status, _, err = await run("demo", f"--{flag}", str(taken))
    assert status == 2
    assert str(taken) in err
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err


async def test_platform_on_a_port_that_is_taken(taken: int) -> None:
    """The local platform names the address that it cannot have."""
    answer = await run("platform", "--listen", f"127.0.0.1:{taken}")
    assert_told(answer, [f"127.0.0.1:{taken}", "in use: give a free port"])


async def test_run_with_a_journal_that_another_holds(place: Place, tmp_path: Path) -> None:
    """A journal that is no journal is left alone and named."""
    journal = tmp_path / "journal"
    journal.write_text("a letter")
    answer = await run("run", *place.flags(journal=journal), environ=place.environ)
    assert_told(answer, [str(journal), "not a journal"])
    assert journal.read_text() == "a letter"
