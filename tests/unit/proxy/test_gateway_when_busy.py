"""What gets through while everything is busy, and what is sent again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.settings.sections import Limits
from tests.fakes.engines import PartlyFreeEngine
from tests.fakes.upstreams import OK, Ending, Received, ScriptedUpstream, Step
from tests.plane import eventually, staged

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def closes_its_second(served: list[Received]) -> Callable[[Received], list[Step]]:
    """Answer each request but the second, at which the product closes its connection."""

    def answer(request: Received) -> list[Step]:
        served.append(request)
        return (
            [Ending.CLOSE]
            if len(served) == 2
            else [b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
        )

    return answer


def answers_free_calls(request: Received) -> list[Step]:
    """Answer what is under `/free`, and keep everything else waiting."""
    return [OK] if request.target.startswith(b"/free") else [Ending.HOLD]


@pytest.mark.parametrize(
    ("request_line", "statuses_seen", "reached"),
    [
        (b"GET /free", (200, 200), 3),
        (b"HEAD /free", (200, 200), 3),
        (b"POST /free", (200, 502), 2),
        (b"GET /metered", (200, 502), 2),
    ],
)
async def test_a_safe_request_that_a_kept_connection_lost_is_sent_again(
    request_line: bytes, statuses_seen: tuple[int, ...], reached: int
) -> None:
    """Once, and only where nothing is charged for it (RFC 9110, 9.2.2)."""
    served: list[Received] = []
    async with (
        ScriptedUpstream(closes_its_second(served)) as upstream,
        staged(PartlyFreeEngine(), upstream) as stage,
        stage.client() as client,
    ):
        method = request_line.split()[0].decode()
        seen = []
        for _ in range(2):
            await client.send(request_line + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            seen.append((await client.answer(method)).status)
        assert tuple(seen) == statuses_seen
        assert len(served) == reached


async def test_a_probe_gets_through_while_everything_is_busy() -> None:
    """A health check that fails with the load would have the pod restarted under it."""
    limits = Limits(max_inflight=1, connect_timeout=0.2)
    async with (
        ScriptedUpstream(answers_free_calls) as upstream,
        staged(PartlyFreeEngine(), upstream, limits=limits) as stage,
        stage.client() as busy,
    ):
        await busy.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        assert (await stage.ask(GET)).status == 503
        assert (await stage.ask(GET.replace(b"/ ", b"/free "))).status == 200
        busy.reset()


async def test_streams_leave_the_reserved_connections_to_what_meters_nothing() -> None:
    """With as many streams as connections, a free call still reaches the product."""
    limits = Limits(upstream_connections=1, connect_timeout=0.1)
    async with (
        ScriptedUpstream(answers_free_calls) as upstream,
        staged(PartlyFreeEngine(), upstream, limits=limits) as stage,
        stage.client() as busy,
    ):
        await busy.send(GET)
        await eventually(lambda: len(upstream.requests) == 1)
        free = GET.replace(b"/ ", b"/free ")
        assert [(await stage.ask(each)).status for each in (free, GET, free)] == [200, 503, 200]
        busy.reset()
