"""Envoy over gRPC, a real one, by the configurations that the docs print: what both doors do."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM

import httpx
import pytest
import websockets

from tests.doors.envoys import behind_envoy, configuration, fault
from tests.e2e.harness import ORG, eventually, policy, soon
from tests.fakes.certificates import loopback_contexts

DOORS = ("ext_authz", "ext_proc")
FORGED = {
    "x-bb-org-id": "evil", "x-bb-plan": "evil", "x-bb-new": "evil", "x-request-id": "mine",
}  # fmt: skip


@pytest.mark.parametrize("door", DOORS)
async def test_an_allowed_call_reaches_the_product_as_its_caller(door: str, tmp_path: Path) -> None:
    """Then it is over quota, with the refusal of any door; the access log says whose it was."""
    async with behind_envoy(door, tmp_path, orgs={ORG: 2}) as b:
        answers = [await b.call(headers=FORGED, json={"message": "hello"}) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert answers[0].headers["ratelimit"].startswith('"ai_calls";r=1;t=')
        assert answers[2].json()["reason"] == "over_quota"
        assert answers[2].headers["content-type"] == "application/problem+json"
        assert int(answers[2].headers["retry-after"]) > 0
        assert b.charges() == 2
        ran = b.product.executions
        assert [each.org_id for each in ran] == [ORG, ORG]
        assert "evil" not in str(ran)
        assert ran[0].request_id == answers[0].headers["x-request-id"] != "mine"
        _, first, _, last = await b.logged(4)
        assert first["quota"]["org"] == ORG
        assert (first["quota"]["units"], first["quota"]["reason"]) == (1, "within_quota")
        assert (last["quota"]["units"], last["quota"]["reason"]) == (0, "over_quota")


@pytest.mark.parametrize("door", DOORS)
async def test_an_unknown_caller_reaches_a_free_route_as_no_caller(
    door: str, tmp_path: Path
) -> None:
    """A forged identity is taken out; an ambiguous spelling of it is refused by Envoy."""
    async with behind_envoy(door, tmp_path) as b:
        answer = await b.client.get("/api/echo", headers=FORGED)
        assert answer.status_code == 200
        assert b.product.executions[-1].org_id == ""
        assert "evil" not in str(b.product.executions)
        with contextlib.suppress(httpx.RemoteProtocolError):  # ext_proc: Envoy closes at once
            answer = await b.client.get("/api/echo", headers={"x_bb_org_id": "evil"})
            assert answer.status_code == 400
        assert len(b.product.executions) == 1


async def test_one_request_that_is_checked_twice_is_charged_once(tmp_path: Path) -> None:
    """Two filters of one Envoy ask about it."""
    async with behind_envoy("ext_authz", tmp_path, duplicated=True) as b:
        answers = [await b.call(json={"message": "hello"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert b.charges() == 2
        assert (await b.call("/api/v1/chat", headers={"cookie": ""})).status_code == 401


@pytest.mark.parametrize("door", DOORS)
async def test_a_platform_that_is_down_fails_open(door: str, tmp_path: Path) -> None:
    """The check has time for it, and what passed is reported once the platform answers."""
    async with behind_envoy(door, tmp_path) as b:
        await fault(b.platform, status=500, error_rate=1.0)
        answer = await b.call(json={"message": "hello"})
        assert answer.status_code == 200
        assert answer.headers["x-quota-decision"] == "fail_open"
        await fault(b.platform)
        await soon(b.charges, lambda charges: charges == 1)


@pytest.mark.parametrize("door", DOORS)
async def test_nothing_passes_while_authz_is_down(door: str, tmp_path: Path) -> None:
    """Envoy refuses, and asks again once it is back."""
    async with behind_envoy(door, tmp_path) as b:
        b.authz.send(SIGKILL)
        await b.authz.ended()
        assert (await b.call()).status_code == 503
        assert b.product.executions == []
        await b.start_authz()
        await eventually(lambda: b.calls(1), lambda found: found == [200])


@pytest.mark.parametrize("door", DOORS)
async def test_a_kill_in_the_middle_executes_nothing_uncharged(door: str, tmp_path: Path) -> None:
    """What was charged and never answered is at most what was under way."""
    async with behind_envoy(door, tmp_path) as b:
        calling = asyncio.ensure_future(b.calls(400))
        await soon(b.charges, lambda charges: charges >= 50)
        b.authz.send(SIGKILL)
        await b.authz.ended()
        await b.start_authz()
        statuses = Counter(await calling)
        await eventually(lambda: b.calls(1), lambda found: found == [200])
        executed = len(b.product.executions)
        assert set(statuses) <= {200, 503}
        assert statuses[503] > 0
        assert executed <= b.charges() <= executed + 8


@pytest.mark.parametrize("door", DOORS)
async def test_a_drain_ends_the_calls_under_way_and_refuses_new_ones(
    door: str, tmp_path: Path
) -> None:
    """With 503 of ours, and then of Envoy; nothing passes uncharged."""
    async with behind_envoy(door, tmp_path) as b:
        calling = asyncio.ensure_future(b.calls(200))
        await soon(b.charges, lambda charges: charges >= 20)
        b.authz.send(SIGTERM)
        assert await b.authz.ended() == 0
        statuses = Counter(await calling)
        assert set(statuses) == {200, 503}
        assert statuses[200] == len(b.product.executions) == b.charges()
        assert b.authz.events("stopped")[0]["drained"]


@pytest.mark.parametrize("door", DOORS)
async def test_a_policy_that_is_replaced_in_the_middle_loses_no_call(
    door: str, tmp_path: Path
) -> None:
    """Each call is charged by the policy that decided on it."""
    async with behind_envoy(door, tmp_path) as b:
        b.place.policy_file.write_text(policy(defaults={"amount": 2}))
        calling = asyncio.ensure_future(b.calls(600))
        await soon(b.charges, lambda charges: charges >= 20)
        b.authz.send(SIGHUP)
        assert Counter(await calling) == {200: 600}
        amounts = Counter(each.amount for each in b.platform.consumes(ORG))
        assert sum(amounts.values()) == 600
        assert set(amounts) == {1, 2}


@pytest.mark.parametrize("known", [True, False])
async def test_envoy_asks_over_tls_with_its_certificate(tmp_path: Path, *, known: bool) -> None:
    """By the configuration that is printed; one of another authority is refused."""
    for owner in ("authz", "envoy"):
        (tmp_path / owner).mkdir()
        loopback_contexts(tmp_path / owner)
    authz, envoy = (tmp_path / owner / "loopback.pem" for owner in ("authz", "envoy"))
    socket = configuration("TLS")
    for old, new in {
        "envoy.crt": str(envoy),
        "envoy.key": str(envoy),
        "ca.crt": str(authz),
        "san_type: DNS, matcher: {exact: authz.example.com}": (
            "san_type: IP_ADDRESS, matcher: {exact: 127.0.0.1}"
        ),
    }.items():
        assert old in socket
        socket = socket.replace(old, new)
    files = {"cert": authz, "key": authz, "client-ca": envoy if known else authz}
    flags = [word for name, path in files.items() for word in (f"--grpc-{name}", str(path))]
    async with behind_envoy(
        "ext_authz", tmp_path, flags=flags, inserted=socket, ready=401 if known else 503
    ) as b:
        assert (await b.call(json={"message": "hello"})).status_code == (200 if known else 503)


@pytest.mark.parametrize("door", DOORS)
async def test_a_websocket_is_charged_when_it_is_opened(door: str, tmp_path: Path) -> None:
    """Then its messages pass; over quota it is refused before it is accepted."""
    upgrades = "stat_prefix: product\n                upgrade_configs: [{upgrade_type: websocket}]"
    text = policy(routes=[{"name": "ws", "match": {"path": "/ws"}, "meter": {"amount": 2}}])
    async with (
        websockets.serve(_echo, "127.0.0.1", 0) as server,
        behind_envoy(
            door, tmp_path, text=text, orgs={ORG: 2}, replaced={"stat_prefix: product": upgrades},
            product_port=next(iter(server.sockets)).getsockname()[1],
        ) as b,
    ):  # fmt: skip
        at = f"ws://127.0.0.1:{b.port}/ws"
        async with websockets.connect(at, additional_headers=b.cookie()) as socket:
            for text in ("one", "two"):
                await socket.send(text)
                assert await socket.recv() == text
        assert b.charges() == 2
        with pytest.raises(websockets.InvalidStatus, match="429"):
            await websockets.connect(at, additional_headers=b.cookie())


async def _echo(socket: websockets.ServerConnection) -> None:
    async for message in socket:
        await socket.send(message)
