"""The transport against platforms that misbehave, on real sockets; waits are not waited."""

from __future__ import annotations

import socket
import threading

import pytest

from sidecar.client.errors import (
    ClientClosedError,
    CredentialRefusedError,
    DeadlineError,
    InvalidRequestError,
    RateLimitedError,
    UnavailableError,
    UnreadableAnswerError,
)
from sidecar.client.retrying import Backoff
from sidecar.client.transport import MAX_ANSWER, Patience, Request, Transport
from tests.fakes.platforms import Said, WaywardPlatform
from tests.fakes.proxies import proxying

SECRET = "bbk_live_0123456789"


class Waits:
    """What a call waited between its attempts, without the waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def ask(
    url: str,
    waits: Waits,
    *,
    repeatable: bool = True,
    patience: Patience | None = None,
    path: str = "/v1/catalog",
) -> object:
    """Ask once, with a credential."""
    transport = Transport(patience or Patience(), chance=lambda: 1.0, sleep=waits.sleep)
    await transport.open()
    try:
        headers = {"Authorization": f"Bearer {SECRET}"}
        request = Request("GET", url, path, repeatable, headers)
        return (await transport.ask(request)).value
    finally:
        await transport.close()


async def test_a_failure_that_passes_is_not_seen() -> None:
    """Two failures, two growing waits, and the answer."""
    waits = Waits()
    async with WaywardPlatform(Said(503), Said(502), Said(body={"ok": 1})) as platform:
        assert await ask(platform.url, waits) == {"ok": 1}
    assert waits.seconds == [0.2, 0.4]


async def test_a_connection_that_breaks_is_a_failure_that_may_pass() -> None:
    """The transport's own name for it, when it goes on."""
    patience = Patience(deadline=0.3)
    async with WaywardPlatform(Said(cut=True)) as platform:
        with pytest.raises(UnavailableError, match="the connection broke"):
            await ask(platform.url, Waits(), patience=patience, repeatable=False)


async def test_what_cannot_be_repeated_is_sent_once() -> None:
    """The failure is told at once."""
    async with WaywardPlatform(Said(503)) as platform:
        with pytest.raises(UnavailableError):
            await ask(platform.url, Waits(), repeatable=False)
        assert len(platform.requests) == 1


async def test_retry_after_is_honoured() -> None:
    """It is the platform that knows how long."""
    waits = Waits()
    async with WaywardPlatform(Said(429, headers={"Retry-After": "3"}), Said(body={})) as platform:
        await ask(platform.url, waits)
    assert waits.seconds == [3.0]


async def test_a_wait_beyond_the_deadline_is_told_at_once() -> None:
    """The caller hears how long the platform wants to be left alone."""
    waits = Waits()
    async with WaywardPlatform(Said(429, headers={"Retry-After": "3600"})) as platform:
        with pytest.raises(RateLimitedError) as raised:
            await ask(platform.url, waits)
    assert (raised.value.retry_after, waits.seconds) == (3600.0, [])


async def test_a_silent_platform_is_given_up() -> None:
    """An attempt has its own end, and the call has one."""
    patience = Patience(attempt=0.05, deadline=0.05, backoff=Backoff(1.0, 1.0))
    async with WaywardPlatform(Said(seconds=1)) as platform:
        with pytest.raises(DeadlineError):
            await ask(platform.url, Waits(), patience=patience)


async def test_nobody_listening_is_asked_again_whatever_was_asked() -> None:
    """No byte left, so even what must not be done twice may be tried."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        waits = Waits()
        patience = Patience(deadline=1.5, backoff=Backoff(0.7, 1.4))

        async def count_down(seconds: float) -> None:
            waits.seconds.append(seconds)
            patience_left.pop()
            if not patience_left:
                raise KeyError

        patience_left = [1, 2]
        waits.sleep = count_down  # type: ignore[method-assign]  # ends the call after two waits
        with pytest.raises(KeyError):
            await ask(url, waits, repeatable=False, patience=patience)
    assert waits.seconds == [0.7, 1.4]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (Said(200, "<html>"), UnreadableAnswerError),
        (Said(200, "[" * 200_000), UnreadableAnswerError),
        (Said(200, b"x" * (MAX_ANSWER + 1)), UnreadableAnswerError),
        (Said(302, headers={"Location": "https://elsewhere.example/"}), UnreadableAnswerError),
        (Said(401, {"detail": "no"}), CredentialRefusedError),
        (Said(418, "<html>"), InvalidRequestError),
    ],
)
async def test_answers_that_are_none(said: Said, error: type[Exception]) -> None:
    """Each has its class, and is not asked for again."""
    async with WaywardPlatform(said) as platform:
        with pytest.raises(error):
            await ask(platform.url, Waits())
        assert len(platform.requests) == 1


async def test_no_credential_is_in_an_error() -> None:
    """Even when the platform repeats it."""
    async with WaywardPlatform(Said(401, {"detail": f"unknown key {SECRET}"})) as platform:
        with pytest.raises(CredentialRefusedError) as raised:
            await ask(platform.url, Waits())
    assert SECRET not in f"{raised.value} {raised.value.detail} {raised.value!r}"


async def test_no_credential_is_in_the_repr_of_a_request() -> None:
    """A traceback with locals shows it."""
    request = Request("GET", "u", "/p", repeatable=True, headers={"X": SECRET}, query={"q": SECRET})
    assert SECRET not in repr(request)


async def test_a_client_that_is_not_open_says_so() -> None:
    """And not that an attribute is missing."""
    with pytest.raises(ClientClosedError, match="async with"):
        await Transport(Patience()).ask(Request("GET", "http://127.0.0.1", "/", repeatable=True))


async def test_calls_go_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To the platform by its name; no error repeats the proxy's password."""
    async with proxying() as proxy:
        proxy.answer = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.port}")
        patience = Patience(deadline=0.1, backoff=Backoff(first=1.0))
        with pytest.raises(UnavailableError) as failed:
            await ask("https://platform.test", Waits(), patience=patience)
        assert proxy.heads[0].startswith("CONNECT platform.test:443 ")
        assert "secret" not in str(failed.value)


async def test_a_slow_lookup_holds_no_thread_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call is given up in time, and the lookup goes on in a thread of its own."""
    release = threading.Event()
    threads: list[threading.Thread] = []

    def hang(*_: object, **__: object) -> list[object]:
        threads.append(threading.current_thread())
        release.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with pytest.raises(DeadlineError):
        await ask("http://platform.test", Waits(), patience=Patience(attempt=0.05, deadline=0.05))
    assert [thread.name for thread in threads] == ["lookup of platform.test"]
    release.set()
    threads[0].join()
