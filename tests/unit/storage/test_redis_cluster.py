"""A cluster: numbers are taken at the node of each key, through its changes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from sidecar.domain.holds import HoldRoom
from sidecar.storage import redis_attempts
from sidecar.storage.redis_attempts import RedisAttempts
from tests.free_ports import free_port
from tests.redis_server import RedisServer, redis_server
from tests.unit.storage.counting import counting, problem_of, until, well
from tests.unit.storage.sharing import answered, sharing

SCOPES = [bytes([n]) * 32 for n in range(40)]
THIRDS = ((0, 5460), (5461, 10922), (10923, 16383))


@contextlib.asynccontextmanager
async def cluster(folder: Path, nodes: int) -> AsyncIterator[list[RedisServer]]:
    """Run a cluster of so many nodes, which share the slots."""
    async with contextlib.AsyncExitStack() as owned:
        servers = []
        for n in range(nodes):
            (folder / str(n)).mkdir()
            words = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            made = redis_server(folder / str(n), *words, "--cluster-node-timeout", "500")
            servers.append(await owned.enter_async_context(made))
        for n, server in enumerate(servers):
            first, last = THIRDS[n] if nodes == len(THIRDS) else (0, 16383)
            await server.cli("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
            await server.cli("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1))
        for server in servers[1:]:
            port, bus = str(servers[0].port), await servers[0].cli("CONFIG", "GET", "cluster-port")
            await server.cli("CLUSTER", "MEET", "127.0.0.1", port, bus.split()[-1])
        for server in servers:
            await seen(server, "cluster_state:ok", f"cluster_known_nodes:{nodes}")
        yield servers


async def seen(server: RedisServer, *signs: str) -> None:
    """Wait until the node says so of its cluster."""
    await until(lambda: server.cli("CLUSTER", "INFO"), lambda told: set(signs) <= set(told.split()))


async def numbers(attempts: RedisAttempts) -> list[int | None]:
    """Take a number of each scope."""
    return await asyncio.gather(*(attempts.next(scope) for scope in SCOPES))


async def test_a_cluster_counts_at_every_node(tmp_path: Path) -> None:
    """The URL names one node; two replicas that name different ones share all numbers."""
    async with (
        cluster(tmp_path, 3) as nodes,
        counting(nodes[0].url) as one,
        counting(nodes[2].url) as other,
    ):
        assert (one.problem, other.problem) == ("", "")
        assert await numbers(one) == [0] * len(SCOPES)
        assert await numbers(other) == [1] * len(SCOPES)


async def test_a_cluster_of_one_node_is_counted_at_the_url(tmp_path: Path) -> None:
    """Its own address may be unreachable from here; the URL is not."""
    async with cluster(tmp_path, 1) as (node,), counting(node.url) as attempts:
        await node.cli("CONFIG", "SET", "cluster-announce-ip", "192.0.2.1")
        assert await numbers(attempts) == [0] * len(SCOPES)
        assert attempts.problem == ""


async def test_a_cluster_shares_holds_at_every_node(tmp_path: Path) -> None:
    """Each org's are at the node of its key, by the rights that settings.md names."""
    settings = (Path(__file__).parents[3] / "docs/settings.md").read_text()
    line = next(line for line in settings.splitlines() if line.startswith("ACL SETUSER"))
    rights = ["on", ">pw", *line.split()[5:]]
    slots = [(f"org_{n}", "ai_calls") for n in range(40)]
    async with cluster(tmp_path, 3) as nodes:
        for node in nodes:
            await node.cli("ACL", "SETUSER", "sidecar", *rights)
        urls = [node.url.replace("//", "//sidecar:pw@") for node in nodes]
        async with sharing(urls[0], 1) as one, sharing(urls[2], 2) as other:
            for slot in slots:
                one.hold(3, slot)

            async def seen_of_one() -> int:
                for slot in slots:
                    other.holds.changed(slot)
                return sum(other.holds.others(slot) for slot in slots)

            await until(seen_of_one, lambda units: units == 3 * len(slots))
            other.answer = answered(10)
            found = await other.holds.take(slots[0], "call", deposit=1, hold=7)
            assert found is not None
            assert found.room is HoldRoom.SHORT
            assert one.holds.problem == other.holds.problem == ""


async def test_a_slot_that_has_moved_is_followed(tmp_path: Path) -> None:
    """The old node says where it is now (MOVED)."""
    async with cluster(tmp_path, 3) as nodes, counting(nodes[0].url) as attempts:
        slot = key_slot(b"bb-sidecar:attempts:" + SCOPES[0][:16])
        at = next(n for n, (first, last) in enumerate(THIRDS) if first <= slot <= last)
        target = nodes[(at + 1) % 3]
        new = await target.cli("CLUSTER", "MYID")
        for node in (target, nodes[at]):
            await node.cli("CLUSTER", "SETSLOT", str(slot), "NODE", new)
        assert [await attempts.next(SCOPES[0]) for _ in range(2)] == [0, 1]


async def test_a_node_that_is_lost_is_the_problem(tmp_path: Path) -> None:
    """A part of the keys cannot be counted: that is told, and the others are."""
    async with cluster(tmp_path, 3) as nodes:
        for node in nodes:
            await node.cli("CONFIG", "SET", "cluster-require-full-coverage", "no")
        async with counting(nodes[0].url) as attempts:
            await nodes[1].stop()
            await problem_of(attempts, lambda problem: "Connection refused" in problem)
            assert attempts.problem == "a part of the cluster: Connection refused"
            taken = await numbers(attempts)
            assert {0, None} <= set(taken)


async def test_a_replica_that_takes_over_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map is read again when a node is away."""
    monkeypatch.setattr(redis_attempts, "CHECK_SECONDS", 0.2)
    async with cluster(tmp_path, 3) as nodes:
        words = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
        async with redis_server(tmp_path, *words, "--cluster-node-timeout", "500") as replica:
            bus = (await nodes[0].cli("CONFIG", "GET", "cluster-port")).split()[-1]
            await replica.cli("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), bus)
            primary = await nodes[1].cli("CLUSTER", "MYID")
            await until(lambda: replica.cli("CLUSTER", "NODES"), lambda told: primary in told)
            await replica.cli("CLUSTER", "REPLICATE", primary)
            up = "master_link_status:up"
            await until(lambda: replica.cli("INFO", "replication"), lambda told: up in told)
            async with counting(nodes[0].url) as attempts:
                assert await numbers(attempts) == [0] * len(SCOPES)
                await replica.cli("CLUSTER", "FAILOVER", "TAKEOVER")
                await nodes[1].stop()
                await until(lambda: numbers(attempts), lambda found: None not in found)
                await well(attempts)


async def test_a_map_that_may_not_be_read_is_the_problem(tmp_path: Path) -> None:
    """A user of a cluster needs CLUSTER SLOTS; with it, the rights that settings.md names do."""
    rights = ("on", ">pw", "~bb-sidecar:attempts:*", "+incr", "+expire")
    async with cluster(tmp_path, 3) as nodes:
        for node in nodes:
            await node.cli("ACL", "SETUSER", "few", *rights)
            await node.cli(
                "ACL", "SETUSER", "enough", *rights, "+cluster|slots", "+asking", "+command"
            )
        async with counting(nodes[0].url.replace("//", "//few:pw@")) as attempts:
            await numbers(attempts)
            await problem_of(attempts, lambda problem: "(NOPERM)" in problem)
        async with counting(nodes[0].url.replace("//", "//enough:pw@")) as attempts:
            assert attempts.problem == ""
            assert None not in await numbers(attempts)
