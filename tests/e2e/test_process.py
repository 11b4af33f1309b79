"""The sidecar as a process: signals, the drain, reloads, and a log that machines read."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import cast
from urllib.parse import urlsplit

import httpx
import pytest

from tests.e2e.harness import KEY, ORG, SESSION_SECRET, eventually, policy, soon
from tests.e2e.programs import SIDECAR, ProcessStack, process_stack, running, start

STREAMS = 20


async def follow(s: ProcessStack, events: int, pause_ms: int) -> tuple[int, str]:
    """Read one whole stream; return its status and text."""
    path = f"/api/v1/stream?n={events}&interval_ms={pause_ms}"
    answer = await s.call(path, method="GET")
    return answer.status_code, answer.text


async def open_streams(
    s: ProcessStack, events: int, pause_ms: int
) -> list[asyncio.Task[tuple[int, str]]]:
    """Open the streams, and wait until the product serves all of them."""
    tasks = [asyncio.create_task(follow(s, events, pause_ms)) for _ in range(STREAMS)]
    await soon(s.executions, lambda count: count == STREAMS)
    return tasks


async def test_sigterm_lets_streams_finish_and_refuses_what_is_new() -> None:
    """Twenty streams end whole, a new call is told 503, and the exit status is 0."""
    async with process_stack(orgs={ORG: -1}) as s:
        streams = await open_streams(s, 8, 100)
        s.program.send(SIGTERM)
        ready = await eventually(
            lambda: s.client.get(f"{s.admin}/ready"), lambda answer: answer.status_code == 503
        )
        assert ready.json()["dependencies"]["drain"]["ok"] is False
        refused = await s.call()
        assert (refused.status_code, refused.json()["reason"]) == (503, "draining")
        for status, text in await asyncio.gather(*streams):
            assert status == 200
            assert text.count("event: tick") == 8
        assert await s.program.ended() == 0
        assert s.program.events("stopped")[0]["drained"] is True
        assert [each["requests"] for each in s.program.events("draining")] == [STREAMS]
        assert (s.charges(), s.executions()) == (STREAMS, STREAMS)


async def test_a_second_sigterm_hurries() -> None:
    """Asked twice, the sidecar cuts off what still runs, and exits 0 all the same."""
    async with process_stack(orgs={ORG: -1}) as s:
        streams = await open_streams(s, 1000, 1000)
        s.program.send(SIGTERM)
        await eventually(
            lambda: s.client.get(f"{s.admin}/ready"), lambda answer: answer.status_code == 503
        )
        s.program.send(SIGTERM)
        assert await s.program.ended() == 0
        assert s.program.events("drain_ended")[0]["why"] == "asked twice"
        for ended in await asyncio.gather(*streams, return_exceptions=True):
            assert isinstance(ended, httpx.RemoteProtocolError)


async def test_the_drain_ends_after_its_seconds() -> None:
    """What does not finish within `--drain-seconds` is cut off, and the log says how much."""
    async with process_stack(orgs={ORG: -1}, drain_seconds="0.2") as s:
        streams = await open_streams(s, 1000, 1000)
        s.program.send(SIGTERM)
        assert await s.program.ended() == 0
        assert s.program.events("drain_cut_off")[0]["requests"] == STREAMS
        assert s.program.events("stopped")[0]["drained"] is False
        for ended in await asyncio.gather(*streams, return_exceptions=True):
            assert isinstance(ended, httpx.RemoteProtocolError)


@pytest.mark.parametrize("number", [SIGINT, SIGTERM])
async def test_an_idle_sidecar_ends_at_once(number: Signals) -> None:
    """Ctrl-C and SIGTERM end it in good order, without a traceback."""
    async with process_stack() as s:
        assert (await s.call()).status_code == 200  # its connection stays open, idle
        s.program.send(number)
        assert await s.program.ended() == 0
        assert [line["event"] for line in s.program.log][-1] == "stopped"
        assert s.program.out == []


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_ends_a_start_that_waits_for_its_policy(tmp_path: Path, workers: int) -> None:
    """At once, and with 0: it was asked to."""
    async with process_stack() as s:
        fifo = tmp_path / "policy.yaml"
        os.mkfifo(fifo)
        flags = s.place.flags(policy=fifo, workers=workers)
        program = await start(*SIDECAR, "run", *flags, environ=s.place.environ)
        try:
            # Opens only when somebody reads: that process has begun, and the signals are set.
            descriptor = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)
            program.send(SIGHUP)
            program.send(SIGTERM)
            assert await program.ended() == 0
            assert not [line for line in program.err if "Traceback" in line]
            os.close(descriptor)
        finally:
            await program.close()


class Pouring(asyncio.Protocol):
    """A product whose answer has no end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop has types of its own

    def data_received(self, data: bytes) -> None:
        self._transport.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        self._pour()

    def _pour(self) -> None:
        if not self._transport.is_closing():
            if self._transport.get_write_buffer_size() < 1 << 16:
                self._transport.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
            asyncio.get_running_loop().call_soon(self._pour)


async def test_clients_that_leave_in_the_middle_of_a_stream_are_no_error() -> None:
    """What comes from the product between the client's end and the exchange's goes nowhere."""
    product = await asyncio.get_running_loop().create_server(Pouring, "127.0.0.1", 0)
    upstream_url = f"http://127.0.0.1:{product.sockets[0].getsockname()[1]}"
    async with product, process_stack(upstream_url=upstream_url) as s:
        parts = urlsplit(s.url)

        async def leave(number: int) -> None:
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            writer.write(b"GET /elsewhere HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readexactly(1000)
            await asyncio.sleep(number % 7 / 200)
            writer.transport.abort()

        for _ in range(10):
            await asyncio.gather(*(leave(number) for number in range(20)))
        assert [line for line in s.program.log if line["level"] == "error"] == []


async def test_sighup_reloads_the_policy() -> None:
    """SIGHUP brings a new policy into force; a bad one changes nothing and is told."""
    async with process_stack() as s:
        assert (await s.call("/elsewhere", method="GET")).status_code == 404
        s.place.policy_file.write_text(policy(unmatched="deny"))
        s.program.send(SIGHUP)
        await s.program.event("policy_loaded")
        assert (await s.call("/elsewhere", method="GET")).status_code == 403
        s.place.policy_file.write_text("version: 1\nproduct: 7\nroutes: none\n")
        s.program.send(SIGHUP)
        rejected = await s.program.event("policy_rejected")
        assert rejected["problem_count"] >= 2
        assert f"{s.place.policy_file}:2:10:" in rejected["problems"][0]
        assert (await s.call("/elsewhere", method="GET")).status_code == 403
        ready = (await s.client.get(f"{s.admin}/ready")).json()
        assert ready["ready"] is True
        assert "policy.yaml:2:10" in ready["dependencies"]["policy"]["detail"]
        page = await s.metrics()
        assert page.by("policy_reload_total", "outcome") == {"loaded": 1, "rejected": 1}


async def test_a_changed_file_is_seen() -> None:
    """A policy that is swapped by symlinks, as a ConfigMap is, comes into force by itself."""
    async with process_stack() as s:
        folder = s.place.policy_file.parent
        for name, text in (("one", policy()), ("two", policy(unmatched="deny"))):
            (folder / name).mkdir()
            (folder / name / "policy.yaml").write_text(text)
        (folder / "data").symlink_to("one")
        program = await s.restart(policy=folder / "data" / "policy.yaml")
        try:
            answer = await s.client.get(f"{program.url}/elsewhere")
            assert answer.status_code == 404
            (folder / "new").symlink_to("two")
            (folder / "new").replace(folder / "data")
            await program.event("policy_loaded")
            answer = await s.client.get(f"{program.url}/elsewhere")
            assert answer.status_code == 403
        finally:
            await program.close()


async def test_a_changed_key_file_is_used(tmp_path: Path) -> None:
    """A rotated key is sent without a restart, and the old one is not."""
    key_file = tmp_path / "key"
    key_file.write_text("bbas_wrong_0123456789\n")
    async with process_stack(key_file=key_file) as s:
        refused = await s.call()
        assert refused.headers["x-quota-decision"] == "fail_open"
        fresh = tmp_path / "fresh"
        fresh.write_text(f"{KEY}\n")
        fresh.replace(key_file)

        async def decided() -> httpx.Response:
            return await s.call()

        await eventually(decided, lambda answer: "ratelimit" in answer.headers)
        assert s.program.events("key_file_reloaded")
        assert s.program.events("platform_refuses")[0]["kind"] == "credential_refused"


async def test_the_log_is_json_lines_without_secrets() -> None:
    """Every line has a time, a level and an event; no credential and no token is among them."""
    async with process_stack(log_level="debug") as s:
        token = s.token()
        await s.call()
        await s.call(org=None, headers={"cookie": f"bb_at={token}x"})
        await s.fault(status=401)
        await s.call()
        s.program.send(SIGTERM)
        assert await s.program.ended() == 0
        for line in s.program.log:
            assert {"timestamp", "level", "event"} <= line.keys()
        text = "\n".join(s.program.err)
        for secret in (KEY, SESSION_SECRET, token, token.rpartition(".")[2]):
            assert secret not in text


async def test_the_log_can_be_text() -> None:
    """With `--log-format text` a person can read it."""
    async with process_stack() as s:
        flags = s.place.flags(log_format="text")
        async with running("run", *flags, environ=s.place.environ) as program:
            line = await program.line(lambda line: "started" in line, err=True)
            assert not line.startswith("{")
            assert f"upstream={s.upstream.url}" in line
            program.send(SIGTERM)
            assert await program.ended() == 0
