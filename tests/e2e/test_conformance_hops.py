"""What a proxy says of itself and of time, and how far a request goes: conformance family 57."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Final

import pytest

from sidecar.domain.model import AttemptEnd
from sidecar.settings.sections import Limits
from tests.fakes.engines import RefusingEngine
from tests.fakes.upstreams import OK, Ending, ScriptedUpstream, TunnellingUpstream
from tests.plane import Answer, staged

GET: Final = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
OPTIONS: Final = b"OPTIONS %b HTTP/1.1\r\nHost: a\r\nMax-Forwards: %b\r\n\r\n"
DATED: Final = b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n"


def is_now(answer: Answer) -> bool:
    """Whether an answer has one Date, of about now."""
    (date,) = answer.values(b"date")
    return abs(parsedate_to_datetime(date.decode()).timestamp() - time.time()) < 10


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET % b"", 200),
        (GET % b"deny", 429),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 501),
    ],
)
async def test_every_answer_has_a_date(request_: bytes, status: int) -> None:
    """One of ours, and one of a product that sends none."""
    async with staged(RefusingEngine()) as stage:
        answer = await stage.ask(request_)
        assert (answer.status, is_now(answer)) == (status, True)


async def test_the_products_own_date_is_kept() -> None:
    """As it came, and no second one."""
    async with ScriptedUpstream(DATED) as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"")).values(b"date") == [b"then"]


async def test_a_failure_of_the_product_has_a_date() -> None:
    """It is an answer of ours."""
    script = ScriptedUpstream(lambda _: [Ending.CLOSE])
    async with script as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(GET % b"")
        assert (answer.status, is_now(answer)) == (502, True)


@pytest.mark.parametrize("target", [b"/", b"*", b"http://a"])
async def test_an_options_that_ends_here_is_answered_here(target: bytes) -> None:
    """It was allowed, never arrived, and is given back as any call that did not."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        answer = await stage.ask(OPTIONS % (target, b"0"))
        assert (answer.status, answer.values(b"content-length")) == (200, [b"0"])
        assert answer.values(b"connection") == [b"keep-alive"]
        assert upstream.untouched
        assert stage.engine.executions == [AttemptEnd.UNREACHED]
        assert stage.observer.of("failed") == []


async def test_an_options_that_ends_here_is_still_decided() -> None:
    """What is refused is refused, however far it was to go."""
    async with staged(RefusingEngine()) as stage:
        assert (await stage.ask(OPTIONS % (b"/deny", b"0"))).status == 429


async def test_an_options_goes_on_with_one_hop_less() -> None:
    """The product gets the smaller number."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(OPTIONS % (b"*", b"3"))).status == 200
        (request,) = upstream.requests
        assert (request.target, request.values(b"max-forwards")) == (b"*", [b"2"])
        assert stage.engine.executions == [AttemptEnd.DONE]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_via_is_added_both_ways(version: bytes) -> None:
    """Behind the names of the proxies before, each with the version that its message came in."""
    request = b"GET / HTTP/%b\r\nHost: a\r\nVia: 1.1 b\r\n\r\n" % version
    async with ScriptedUpstream() as upstream, staged(upstream=upstream, via="edge") as stage:
        assert (await stage.ask(request)).values(b"via") == [b"1.1 edge"]
        assert upstream.requests[0].values(b"via") == [b"1.1 b", version + b" edge"]


async def test_without_a_name_there_is_no_via() -> None:
    """A product, and a client, see none of ours."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(GET % b"")).values(b"via") == []
        assert upstream.requests[0].values(b"via") == []


@pytest.mark.parametrize("path", [b"", b"deny"])
async def test_a_client_reads_how_long_its_connection_is_kept(path: bytes) -> None:
    """Node's agent does; the product's own word on its connection is not passed on."""
    kept = OK.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n")
    async with (
        ScriptedUpstream(kept) as upstream,
        staged(RefusingEngine(), upstream, limits=Limits(idle_timeout=77.5)) as stage,
    ):
        answer = await stage.ask(GET % path)
        assert answer.values(b"keep-alive") == [b"timeout=77"]


UPGRADE: Final = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n"


async def test_only_allowed_protocols_are_switched_to() -> None:
    """Another is dropped before the decision: the request goes on as a plain one."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert (await stage.ask(UPGRADE % b"mqtt")).status == 200
        assert upstream.requests[0].values(b"upgrade") == []


async def test_a_setting_allows_another_protocol() -> None:
    """Beside websocket, in any case."""
    async with (
        TunnellingUpstream(protocol=b"mqtt") as upstream,
        staged(upstream=upstream, upgrades=["MQTT"]) as stage,
        stage.client() as client,
    ):
        await client.send(UPGRADE % b"mqtt")
        assert (await client.answer()).status == 101
        await client.send(b"bye")
        assert await client.rest() == b"BYE"
