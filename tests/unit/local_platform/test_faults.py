"""Faults asked for, as a client meets them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from sidecar.local_platform import Faults, LocalPlatform, Malformed
from sidecar.local_platform.faults import FaultBox, spoil
from tests.unit.local_platform import acme


async def test_status_fails_every_call_and_counts_nothing(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """As asked for, with the platform's error body."""
    await caller.control("PUT", "/faults", {"status": 503})

    status, body = await caller.consume()

    assert (status, set(body)) == (503, {"detail"})
    assert platform.consumes() == []


@pytest.mark.parametrize("status", [204, 304, 418, 599])
async def test_any_final_status_can_be_had(caller: acme.Caller, status: int) -> None:
    """Those without a body have none."""
    await caller.control("PUT", "/faults", {"status": status})

    async with caller.session.post(caller.url + "/v1/quota/consume") as answer:
        body = await answer.read()

    assert answer.status == status
    assert (body == b"") is (status in (204, 304))


async def test_an_error_rate_hits_its_share_repeatably(caller: acme.Caller) -> None:
    """The same seed fails the same calls; without another fault they get 500."""
    runs = []
    for _ in range(2):
        await caller.control("PUT", "/faults", {"error_rate": 0.5, "seed": 7})
        runs.append([(await caller.consume(resource="api_calls"))[0] for _ in range(40)])

    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


async def test_the_rate_shares_out_the_named_fault(caller: acme.Caller) -> None:
    """Rate zero: the fault is set and hits nobody; rate one: everybody."""
    await caller.control("PUT", "/faults", {"error_rate": 0, "status": 502})
    assert (await caller.consume())[0] == 200
    await caller.control("PUT", "/faults", {"error_rate": 1, "status": 502})

    assert (await caller.consume())[0] == 502


async def test_latency_delays_the_answer_and_not_the_count(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """A caller that gives up early was counted all the same."""
    await caller.control("PUT", "/faults", {"latency_ms": 5000})

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(caller.consume(idempotency_key="k"), 0.2)

    assert [consume.key for consume in platform.consumes()] == ["k"]


async def test_a_dropped_answer_was_counted_and_its_retry_is_not(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """Counted, cut, sent again under the same key: one charge."""
    await caller.control("PUT", "/faults", {"drop_after_commit": True})
    with pytest.raises(aiohttp.ClientConnectionError):
        await caller.consume(idempotency_key="k")
    await caller.control("DELETE", "/faults")

    assert (await caller.consume(idempotency_key="k"))[1]["used"] == 1
    assert len(platform.consumes()) == 1


async def test_a_hang_ends_when_the_faults_are_cleared(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """No answer comes, the connection is cut in the end, and nothing is counted."""
    await caller.control("PUT", "/faults", {"hang": True})
    call = asyncio.create_task(caller.consume())
    done, _ = await asyncio.wait([call], timeout=0.2)
    assert not done
    await caller.control("DELETE", "/faults")

    with pytest.raises(aiohttp.ClientConnectionError):
        await call
    assert platform.consumes() == []


async def test_a_hang_ends_when_the_platform_stops(caller: acme.Caller) -> None:
    """Closing is not held up by what hangs."""
    platform = LocalPlatform(seed=acme.seed(), close_deadline=30)
    await platform.start()
    platform.set_faults(Faults(hang=True))
    call = asyncio.create_task(caller.session.get(f"{platform.url}/v1/quota/status"))
    await asyncio.wait([call], timeout=0.2)

    await asyncio.wait_for(platform.close(), 10)

    with pytest.raises(aiohttp.ClientConnectionError):
        await call


async def test_a_caller_that_leaves_a_hang_is_forgotten(platform: LocalPlatform) -> None:
    """No task stays behind for a client that is gone."""
    platform.set_faults(Faults(hang=True))
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.get(f"{platform.url}/v1/quota/status"), 0.1)
        held = asyncio.all_tasks() - before
        assert held

    _, pending = await asyncio.wait(held, timeout=5)

    assert not pending


async def test_store_down_says_unlimited_and_counts_nothing(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """The platform's own fail-open: the same words as unlimited."""
    await caller.control("PUT", "/faults", {"store_down": True})

    status, body = await caller.consume(amount=1000)

    assert (status, body["allowed"], body["limit"], body["remaining"]) == (200, True, -1, -1)
    assert platform.consumes() == []


async def test_store_down_is_503_elsewhere(caller: acme.Caller) -> None:
    """Status has nothing to say without its store [ours]."""
    await caller.control("PUT", "/faults", {"store_down": True})

    assert (await caller.read("/v1/quota/status"))[0] == 503
    assert (await caller.read("/v1/quota/breakdown"))[0] == 503


@pytest.mark.parametrize("kind", [kind for kind in Malformed if kind is not Malformed.HALF])
async def test_a_spoilt_answer_is_whole_http_and_was_counted(
    caller: acme.Caller, platform: LocalPlatform, kind: Malformed
) -> None:
    """Status 200, a body that does not mean what it should."""
    await caller.control("PUT", "/faults", {"malformed": kind.value})

    async with caller.session.post(
        caller.url + "/v1/quota/consume",
        json={"org_id": acme.ORG, "resource": "ai_calls"},
        headers={"X-Internal-Key": acme.NOTES_KEY},
    ) as answer:
        body = await answer.read()

    assert answer.status == 200
    assert not _is_sound(body)
    assert len(platform.consumes()) == 1


async def test_half_an_answer_breaks_off(caller: acme.Caller, platform: LocalPlatform) -> None:
    """Less than Content-Length promised, then the end of the connection."""
    await caller.control("PUT", "/faults", {"malformed": "half"})

    with pytest.raises(aiohttp.ClientPayloadError):
        await caller.consume()
    assert len(platform.consumes()) == 1


async def test_malformed_true_is_a_page(caller: acme.Caller) -> None:
    """True picks HTML."""
    await caller.control("PUT", "/faults", {"malformed": True})

    async with caller.session.get(caller.url + "/v1/quota/status") as answer:
        assert answer.content_type == "text/html"


async def test_paths_say_what_is_hit(caller: acme.Caller) -> None:
    """Only the named prefixes; by default the API and not the key set."""
    await caller.control("PUT", "/faults", {"status": 500})
    assert (await caller.ask("GET", "/.well-known/jwks.json"))[0] == 200
    await caller.control("PUT", "/faults", {"status": 500, "paths": ["/.well-known/"]})

    assert (await caller.ask("GET", "/.well-known/jwks.json"))[0] == 500
    assert (await caller.consume())[0] == 200


async def test_control_is_never_hit(caller: acme.Caller) -> None:
    """Else a fault could not be taken back."""
    await caller.control("PUT", "/faults", {"hang": True, "paths": ["/"]})

    assert (await caller.control("DELETE", "/faults"))[0] == 200
    assert (await caller.consume())[0] == 200


async def test_faults_are_replaced_and_shown(caller: acme.Caller) -> None:
    """PUT sets the whole, GET shows it."""
    await caller.control("PUT", "/faults", {"status": 500, "latency_ms": 1})
    await caller.control("PUT", "/faults", {"latency_ms": 2})

    _, shown = await caller.control("GET", "/faults")

    assert (shown["status"], shown["latency_ms"]) == (None, 2)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": 100}, "status"),
        ({"status": 600}, "status"),
        ({"error_rate": 1.1}, "error_rate"),
        ({"error_rate": -0.1}, "error_rate"),
        ({"latency_ms": -1}, "latency_ms"),
        ({"hang": 1}, "hang"),
        ({"malformed": "xml"}, "malformed"),
        ({"paths": ["v1"]}, "paths"),
        ({"paths": []}, "paths"),
        ({"drop": True}, "drop"),
    ],
)
async def test_a_fault_that_is_not_known_is_named(
    caller: acme.Caller, body: dict[str, Any], field: str
) -> None:
    """422 with the field, and what was set before stays."""
    await caller.control("PUT", "/faults", {"status": 503})

    status, answer = await caller.control("PUT", "/faults", body)

    assert status == 422
    assert answer["detail"][0]["loc"][:2] == ["body", field]
    assert (await caller.consume())[0] == 503


@given(st.floats(min_value=0.2, max_value=0.8), st.integers(0, 2**32))
def test_the_share_is_about_the_rate(rate: float, seed: int) -> None:
    """Of a thousand calls, the rate's share within a tenth."""
    box = FaultBox()
    box.set(Faults(error_rate=rate, status=500, seed=seed))

    hit = sum(box.of("/v1/x").status == 500 for _ in range(1000))

    assert abs(hit / 1000 - rate) < 0.1


@given(
    st.dictionaries(st.text(), st.integers(-(2**53), 2**53) | st.booleans() | st.text(), max_size=5)
)
def test_any_json_object_can_be_spoilt(body: dict[str, Any]) -> None:
    """No answer makes the spoiling itself fail."""
    for kind in Malformed:
        spoilt, content_type = spoil(json.dumps(body).encode(), kind)
        assert isinstance(spoilt, bytes)
        assert content_type


def _is_sound(body: bytes) -> bool:
    """Whether a careful client would trust this consume answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    wanted = {"allowed", "used", "limit", "remaining", "resource", "period", "reset_at"}
    return (
        set(answer) == wanted
        and answer["allowed"] is True
        and isinstance(answer["used"], int)
        and 0 <= answer["remaining"] <= answer["limit"]
    )


async def test_a_client_that_leaves_while_an_answer_is_spoilt_is_no_error(
    caller: acme.Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No traceback: the write fails as it does on a connection that the client has closed."""

    async def closed(*_: Any) -> None:
        raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(web.StreamResponse, "write", closed)
    await caller.control("PUT", "/faults", {"malformed": "half"})

    with pytest.raises(aiohttp.ClientError):
        await caller.read("/v1/catalog")

    assert "failed" not in caplog.text
