"""The consume call over a real wire, with a platform that plays a script."""

from __future__ import annotations

import asyncio
import socket
import time
from unittest import mock

import pytest

from sidecar.app.loop_watch import LoopWatch
from sidecar.domain.model import Charge
from sidecar.domain.quota import Failed, FailureKind, Granted, Outcome, Quota, Refused
from sidecar.domain.stalls import LONGEST_SECONDS
from sidecar.http1.client import ClientConnection
from sidecar.platform.breaker import BreakerState
from tests.unit.client.scripted import (
    Step,
    bench,
    body,
    cutting,
    granting,
    http,
    sending,
    silent,
    waiting_for,
)

TIMEOUT = Failed(FailureKind.TIMEOUT)
RESET = Failed(FailureKind.RESET)
MALFORMED = Failed(FailureKind.MALFORMED)
CONNECT = Failed(FailureKind.CONNECT)
SHORT = 0.4


async def test_a_grant_carries_what_the_platform_said() -> None:
    """The answer's numbers are the outcome's."""
    async with bench(granting()) as b:
        outcome = await b.consume()
        assert isinstance(outcome, Granted)
        assert outcome.quota == Quota("ai_calls", 25, 12, 13, "month", 4070908800.0)
        assert (b.told, b.orphans) == (["granted"], [])


async def test_a_refusal_is_an_answer() -> None:
    """200 with `allowed: false` is over the limit, and no failure of the platform."""
    over = body(allowed=False, used=25, remaining=0)
    async with bench(sending(http(over))) as b:
        assert isinstance(await b.consume(), Refused)
        assert b.told == ["refused"]


async def test_the_request_is_what_the_contract_says() -> None:
    """Path, key and body are the contract's; nothing else is in the body."""
    async with bench(granting()) as b:
        await b.consume()
        [asked] = b.asked
        lines = asked.head.split("\r\n")
        assert lines[0] == "POST /v1/quota/consume HTTP/1.1"
        assert f"host: {b.server.origin.authority}" in lines
        assert "x-internal-key: bbas_one" in lines
        assert "user-agent: bb-sidecar/test" in lines
        assert "content-type: application/json" in lines
        assert asked.body == {
            "org_id": "org_acme",
            "resource": "ai_calls",
            "amount": 2,
            "product_id": "acme-notes",
            "idempotency_key": "key-1",
        }


async def test_a_changed_key_is_sent_from_then_on() -> None:
    """The key is asked for before each request."""
    async with bench(granting(), granting()) as b:
        await b.consume()
        b.key[0] = "bbas_two"
        b.consumer._key_due = 0.0  # a moment later
        await b.consume()
        assert ["bbas_two" in asked.head for asked in b.asked] == [False, True]


async def test_one_connection_serves_one_consume_after_the_other() -> None:
    """Connections are kept."""
    async with bench(granting(), granting(), granting()) as b:
        for _ in range(3):
            await b.consume()
        assert len(b.server.visits) == 1


ODD: dict[str, tuple[list[bytes], bool]] = {
    "interim answers first": (
        [b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", http(body())],
        False,
    ),
    "byte by byte": ([bytes([byte]) for byte in http(body())], False),
    "chunks": (
        [
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\n",
            b"transfer-encoding: chunked\r\n\r\n5\r\n",
            body()[:5] + b"\r\n%x\r\n" % (len(body()) - 5) + body()[5:],
            b"\r\n0\r\nx-trailer: 1\r\n\r\n",
        ],
        False,
    ),
    "until the connection ends": (
        [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + body()],
        True,
    ),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_answer_in_an_odd_shape_is_read(name: str) -> None:
    """What HTTP allows is understood."""
    pieces, close = ODD[name]
    async with bench(sending(*pieces, close=close)) as b:
        assert isinstance(await b.consume(), Granted)


UNKNOWN: dict[str, tuple[Step, FailureKind]] = {
    "cut": (cutting, FailureKind.RESET),
    "closed": (sending(close=True), FailureKind.RESET),
    "half a head": (sending(b"HTTP/1.1 200 OK\r\nconte", close=True), FailureKind.RESET),
    "half a body": (sending(http(body())[:-9], close=True), FailureKind.RESET),
    "no HTTP": (sending(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), FailureKind.MALFORMED),
    "two lengths": (
        sending(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
        FailureKind.MALFORMED,
    ),
    "no JSON": (sending(http(b"{")), FailureKind.MALFORMED),
    "HTML": (sending(http(b"<html>", kind="text/html")), FailureKind.MALFORMED),
    "500": (sending(http(b"{}", "500 Oops")), FailureKind.SERVER_ERROR),
    "409": (sending(http(b"{}", "409 Conflict")), FailureKind.CONFLICT),
    "302": (sending(http(b"", "302 Found")), FailureKind.UNEXPECTED_STATUS),
    "too large at once": (sending(http(b" " * 70_000)), FailureKind.MALFORMED),
    "too large in pieces": (sending(http(b" " * 900_000)), FailureKind.MALFORMED),
    "endless": (
        sending(b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 8192] * 20),
        FailureKind.MALFORMED,
    ),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_what_may_have_been_counted_is_asked_again_under_its_key(name: str) -> None:
    """The first answer is unusable; the second, to the same key, decides."""
    step, kind = UNKNOWN[name]
    async with bench(step, granting()) as b:
        assert isinstance(await b.consume(), Granted)
        assert [asked.body["idempotency_key"] for asked in b.asked] == ["key-1", "key-1"]
        assert b.told == [kind.value, "granted"]
        assert len(b.server.visits) == 2  # a connection that went wrong is not used again


@pytest.mark.parametrize("name", UNKNOWN)
async def test_there_is_no_third_try(name: str) -> None:
    """Two unusable answers are a failure of the kind of the second."""
    step, kind = UNKNOWN[name]
    async with bench(step, step) as b:
        assert await b.consume() == Failed(kind)
        assert len(b.asked) == 2


PLAIN: dict[str, FailureKind] = {
    "401 Unauthorized": FailureKind.CREDENTIAL_REFUSED,
    "403 Forbidden": FailureKind.FORBIDDEN,
    "404 Not Found": FailureKind.NOT_FOUND,
    "422 Unprocessable": FailureKind.UNPROCESSABLE,
    "429 Too Many Requests": FailureKind.RATE_LIMITED,
}


@pytest.mark.parametrize("status", PLAIN)
async def test_a_plain_no_is_not_asked_again(status: str) -> None:
    """It was surely not counted, and would be answered the same."""
    async with bench(sending(http(b"{}", status))) as b:
        assert await b.consume() == Failed(PLAIN[status])
        assert len(b.asked) == 1


@pytest.mark.parametrize("status", PLAIN)
async def test_a_plain_no_to_the_retry_leaves_the_first_result_unknown(status: str) -> None:
    """The first request may have been counted all the same."""
    async with bench(cutting, sending(http(b"{}", status))) as b:
        assert await b.consume() == RESET
        assert b.told == ["reset", PLAIN[status].value]


async def test_a_stale_connection_costs_nothing_but_a_retry() -> None:
    """A kept connection that the platform closes under the next request."""
    async with bench(granting(), cutting, granting()) as b:
        await b.consume()
        assert isinstance(await b.consume(), Granted)
        assert b.told == ["granted", "reset", "granted"]


async def test_a_connection_that_was_closed_meanwhile_is_not_used() -> None:
    """A kept connection whose end was seen is replaced, and no try is lost."""
    async with bench(sending(http(body()), close=True), granting()) as b:
        await b.consume()
        await b.server.visits[0].ended.wait()
        await asyncio.sleep(0.01)
        assert isinstance(await b.consume(), Granted)
        assert b.told == ["granted", "granted"]


async def test_a_timeout_leaves_time_for_a_second_try() -> None:
    """The first attempt gets a share of the time, and its connection is given up."""
    async with bench(silent, granting()) as b:
        assert isinstance(await b.consume(SHORT * 2), Granted)
        assert b.told == ["timeout", "granted"]
        await b.server.visits[0].ended.wait()


async def test_two_timeouts_are_a_timeout() -> None:
    """It ends, and says that the result is not known."""
    async with bench(silent, silent) as b:
        assert await b.consume(SHORT) == TIMEOUT
        assert b.told == ["timeout", "timeout"]


async def test_an_answer_after_the_deadline_is_not_read() -> None:
    """What comes late belongs to nobody, and harms nobody."""
    late = asyncio.Event()
    async with bench(waiting_for(late, granting()), silent, granting()) as b:
        assert await b.consume(SHORT) == TIMEOUT
        late.set()
        assert isinstance(await b.consume(), Granted)
        assert b.told == ["timeout", "timeout", "granted"]


async def test_many_lengths_of_wait_all_end() -> None:
    """Lengths that never come again have a deadline too, and leave no queue behind."""
    steps: list[Step] = [silent] * 200
    async with bench(*steps, threshold=1000) as b:
        for number in range(70):
            outcome = await b.consume(0.005 + number / 100_000)
            assert outcome in {TIMEOUT, CONNECT}  # on a busy machine even connecting takes that
        assert len(b.consumer._deadlines) <= 64


async def test_nobody_listens() -> None:
    """A refused connection surely counted nothing: no retry, and a kind of its own."""
    async with bench() as b:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            b.server.origin.port = closed.getsockname()[1]
            assert await b.consume() == CONNECT
        assert b.told == ["connect"]
        [(cause, detail)] = b.causes
        assert cause == "connect"
        assert b.server.origin.authority in detail


async def test_nobody_listens_any_more_at_the_retry() -> None:
    """The first result stays unknown."""
    async with bench(silent) as b:
        asking = b.begin(SHORT * 4)
        await b.asked.reach(1)
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            b.server.origin.port = closed.getsockname()[1]
            assert await asking == TIMEOUT
        assert b.told == ["timeout", "connect"]


async def test_an_open_breaker_asks_nobody() -> None:
    """After failures in a row the platform is left alone."""
    failing = sending(http(b"", "500 Oops"))
    async with bench(*[failing] * 5) as b:
        for _ in range(3):
            await b.consume()
        assert len(b.asked) == 5  # the third consume's retry was the breaker's to refuse
        assert await b.consume() == Failed(FailureKind.BREAKER_OPEN)
        assert b.breaker.state is BreakerState.OPEN
        assert len(b.asked) == 5


async def test_an_open_breaker_before_the_retry_leaves_the_result_unknown() -> None:
    """What the first attempt came to is told, not that the second was not made."""
    failing = sending(http(b"", "500 Oops"))
    async with bench(*[failing] * 4, cutting) as b:
        await b.consume()
        await b.consume()
        assert await b.consume() == RESET


async def cancel(task: asyncio.Task[Outcome]) -> None:
    """Cancel a consume, and see that it is."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_cancelled_before_its_answer_the_outcome_goes_to_the_orphanage() -> None:
    """The request goes on, and its outcome is heard."""
    answer = asyncio.Event()
    async with bench(waiting_for(answer, granting())) as b:
        asking = b.begin()
        await b.asked.reach(1)
        await cancel(asking)
        assert b.orphans == []
        answer.set()
        assert isinstance(await b.orphaned(), Granted)


async def test_cancelled_before_its_timeout_the_timeout_is_heard() -> None:
    """An orphan has the same deadline, and is not retried: nobody waits."""
    async with bench(silent) as b:
        asking = b.begin(SHORT)
        await b.asked.reach(1)
        await cancel(asking)
        assert await b.orphaned() == TIMEOUT
        assert len(b.asked) == 1


async def test_cancelled_as_the_answer_comes_nothing_is_lost() -> None:
    """Answer and cancellation in one turn of the loop, in both orders."""
    for cancel_first in (True, False):
        async with bench(silent) as b:
            asking = b.begin()
            await b.asked.reach(1)
            [attempt] = b.consumer.in_flight
            if cancel_first:
                asking.cancel()
                attempt._complete(RESET)
            else:
                attempt._complete(RESET)
                asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert b.orphans == [RESET]


async def test_cancelled_at_the_retry_its_outcome_is_heard() -> None:
    """The second answer decides, as it would have."""
    answer = asyncio.Event()
    async with bench(cutting, waiting_for(answer, granting())) as b:
        asking = b.begin()
        await b.asked.reach(2)
        await cancel(asking)
        answer.set()
        assert isinstance(await b.orphaned(), Granted)


async def test_cancelled_at_the_retry_its_deadline_stays() -> None:
    """A retry that nobody waits for ends too."""
    async with bench(cutting, silent) as b:
        asking = b.begin(SHORT)
        await b.asked.reach(2)
        await cancel(asking)
        assert await b.orphaned() == TIMEOUT


async def test_cancelled_at_the_retry_a_plain_no_hides_nothing() -> None:
    """The first request may have been counted, and its key must be kept."""
    answer = asyncio.Event()
    no = sending(http(b"{}", "403 Forbidden"))
    async with bench(cutting, waiting_for(answer, no)) as b:
        asking = b.begin()
        await b.asked.reach(2)
        await cancel(asking)
        answer.set()
        assert await b.orphaned() == RESET


async def test_cancelled_while_connecting_nothing_was_sent() -> None:
    """There is no outcome to hear of, and the breaker has its ticket back."""
    async with bench() as b:
        b.pool.stuck = True
        asking = b.begin()
        await b.pool.waited.wait()
        await cancel(asking)
        assert (b.orphans, b.told) == ([], [])


async def test_connecting_has_a_deadline() -> None:
    """A platform that does not take connections fails as one that refuses them."""
    async with bench() as b:
        b.pool.stuck = True
        assert await b.consume(SHORT) == CONNECT


async def test_cancelled_while_connecting_again_the_first_failure_is_heard() -> None:
    """The first request may have been counted."""
    go_on = asyncio.Event()
    async with bench(waiting_for(go_on, cutting)) as b:
        asking = b.begin()
        await b.asked.reach(1)
        b.pool.stuck = True
        go_on.set()
        await b.pool.waited.wait()
        await cancel(asking)
        assert b.orphans == [RESET]


async def test_close_ends_what_is_in_flight() -> None:
    """Who waits hears a reset, and so does the orphanage."""
    async with bench(silent, silent) as b:
        waiting, orphan = b.begin(), b.begin()
        await b.asked.reach(2)
        await cancel(orphan)
        await b.consumer.close()
        assert await waiting == RESET
        assert b.orphans == [RESET]


@pytest.mark.parametrize("amount", [1, 2**53 - 1])
@pytest.mark.parametrize("org", ["o", 'org"\\ \n', "été", "😀" * 50])
async def test_any_org_and_amount_can_be_sent(org: str, amount: int) -> None:
    """What a token names is JSON on the wire, whatever is in it."""
    async with bench(granting()) as b:
        await b.consume(charge=Charge(org, "p", "ai_calls", amount, "k", private=True))
        assert (b.asked[0].body["org_id"], b.asked[0].body["amount"]) == (org, amount)


async def test_a_probe_whose_caller_left_while_connecting_frees_the_breaker() -> None:
    """The next call may probe: a cancelled one does not keep the platform out for ever."""
    async with bench(granting(), threshold=1, first_pause=0.0) as b:
        b.pool.stuck = True
        assert await b.consume(0.001) == CONNECT
        b.pool.waited.clear()
        asking = b.begin()
        await b.pool.waited.wait()
        assert b.breaker.state == 1  # half open
        assert await b.consume() == Failed(FailureKind.BREAKER_OPEN)
        await cancel(asking)
        b.pool.stuck = False
        assert isinstance(await b.consume(), Granted)
        assert b.breaker.state is BreakerState.CLOSED


async def test_a_platform_that_keeps_no_connection_is_asked_over_new_ones() -> None:
    """`Connection: close` is obeyed."""
    once = sending(http(body()).replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
    async with bench(once, once, once) as b:
        for _ in range(3):
            assert isinstance(await b.consume(), Granted)
        assert len(b.server.visits) == 3


@pytest.mark.parametrize("first", [True, False], ids=["connecting", "connected"])
async def test_a_loop_that_was_held_books_no_failure_of_the_platform(*, first: bool) -> None:
    """300 ms of our own: the answer is here by then, and is read (conformance 48)."""
    async with bench(granting(), granting(), threshold=1) as b:
        watch = LoopWatch(lambda _: None)
        b.consumer._lost = watch.lost
        if not first:
            await b.consume()
        asking = b.begin(0.1)
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251 - the stall
        assert isinstance(await asking, Granted)
        assert set(b.told) == {"granted"}
        assert b.breaker.state is BreakerState.CLOSED
        watch.close()


async def test_a_loop_that_is_held_for_too_long_says_so() -> None:
    """The wait ends as our own overload, and the breaker learns nothing."""
    async with bench(silent, silent, threshold=1) as b:
        lost = [0.0]
        b.consumer._lost = lambda _: lost[0]
        asking = b.begin(0.05)
        await b.asked.reach(1)
        lost[0] = LONGEST_SECONDS + 1.0
        b.consumer._lost = lambda _: lost[0]
        with mock.patch("sidecar.domain.stalls.LONGEST_SECONDS", 0.0):
            outcome = await asking
        assert outcome == Failed(FailureKind.OVERLOADED)
        assert "overloaded" in b.told
        assert "timeout" not in b.told
        assert b.breaker.state is BreakerState.CLOSED


async def test_a_connection_that_comes_as_its_caller_leaves_goes_to_the_pool() -> None:
    """It is open, and nobody would close it."""
    async with bench(granting()) as b:
        opened = asyncio.Event()
        connect = b.pool.connect

        async def connected() -> ClientConnection:
            connection = await connect()
            opened.set()
            return connection

        with mock.patch.object(b.pool, "connect", connected):
            asking = b.begin()
            await opened.wait()  # the caller has not run since
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        await asyncio.sleep(0)
        assert (b.pool.open_connections, b.told) == (1, [])
        assert isinstance(await b.consume(), Granted)
        assert len(b.server.visits) == 1
