"""The gRPC port, asked by a real client."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.service.ext_proc.v3.external_processor_pb2 import ProcessingRequest, ProcessingResponse
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from sidecar.domain.errors import UserError
from sidecar.frontends.envoy import ext_proc, shown_body
from sidecar.frontends.envoy.grpc_server import GrpcServer
from sidecar.frontends.envoy.tls import TlsFiles
from tests.fakes.certificates import loopback_contexts
from tests.fakes.doors import OneDoor
from tests.fakes.engines import AllowingEngine, ReadingEngine
from tests.fakes.rpcs import answered, check_request, request_head

CHECK = "/envoy.service.auth.v3.Authorization/Check"
PROCESS = "/envoy.service.ext_proc.v3.ExternalProcessor/Process"
PROBE = "/grpc.health.v1.Health/Check"


@contextlib.asynccontextmanager
async def serving(
    files: TlsFiles | None = None, engine: AllowingEngine | None = None
) -> AsyncIterator[tuple[int, OneDoor]]:
    """Serve behind a door that is open; yield the port."""
    doors = OneDoor(engine or AllowingEngine())
    server = GrpcServer(doors.one, lambda _: True, files)
    port = await server.start("127.0.0.1", 0)
    try:
        yield port, doors
    finally:
        await server.close()


@contextlib.asynccontextmanager
async def connected(
    files: TlsFiles | None = None,
    credentials: Any = None,
    engine: AllowingEngine | None = None,
) -> AsyncIterator[tuple[Any, OneDoor]]:
    """Serve, with a client that is connected."""
    async with serving(files, engine) as (port, doors):
        at = f"127.0.0.1:{port}"
        made = grpc.aio.secure_channel(at, credentials) if files else grpc.aio.insecure_channel(at)
        async with made as channel:
            yield channel, doors


async def check(channel: Any) -> Any:
    """Ask once."""
    call = channel.unary_unary(
        CHECK, request_serializer=lambda request: request.SerializeToString()
    )
    return answered(await call(check_request(), timeout=10))


async def test_it_answers_checks_and_probes() -> None:
    """On one port."""
    async with connected() as (channel, doors):
        assert (await check(channel)).HasField("ok_response")
        probe = channel.unary_unary(
            PROBE,
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        assert (await probe(HealthCheckRequest())).status == HealthCheckResponse.SERVING
        doors.one.drain.begin()
        assert (await probe(HealthCheckRequest())).status == HealthCheckResponse.NOT_SERVING
        refused = await check(channel)
        assert refused.denied_response.status.code == 503


async def test_what_cannot_be_parsed_is_an_error() -> None:
    """And no answer that allows."""
    async with connected() as (channel, _):
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary(CHECK)(b"\xff\xff", timeout=10)


@pytest.mark.parametrize("with_certificate", [True, False])
async def test_with_authorities_clients_need_a_certificate(
    tmp_path: Path, *, with_certificate: bool
) -> None:
    """Of one of them."""
    loopback_contexts(tmp_path)
    pem = tmp_path / "loopback.pem"
    own = {"private_key": pem.read_bytes(), "certificate_chain": pem.read_bytes()}
    credentials = grpc.ssl_channel_credentials(
        root_certificates=pem.read_bytes(), **(own if with_certificate else {})
    )
    async with connected(TlsFiles(pem, pem, pem), credentials) as (channel, _):
        if with_certificate:
            assert (await check(channel)).HasField("ok_response")
            return
        with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
            await check(channel)


async def test_a_port_that_is_taken_is_an_error_with_its_flag() -> None:
    """One line, as for the other ports."""
    async with serving() as (port, doors):
        with pytest.raises(UserError, match=rf"--grpc: 127.0.0.1:{port} is in use"):
            await GrpcServer(doors.one, lambda _: True, None).start("127.0.0.1", port)


@pytest.mark.parametrize("first", [(), (request_head(),)])
async def test_a_stream_that_goes_on_with_nothing_is_ended(
    monkeypatch: pytest.MonkeyPatch, first: tuple[Any, ...]
) -> None:
    """Before the head of its request, and before a body that a decision needs."""
    monkeypatch.setattr(ext_proc, "FIRST_SECONDS", 0.1)
    monkeypatch.setattr(shown_body, "BODY_SECONDS", 0.1)
    async with connected(engine=ReadingEngine()) as (channel, doors):
        stream = channel.stream_stream(
            PROCESS,
            request_serializer=ProcessingRequest.SerializeToString,
            response_deserializer=ProcessingResponse.FromString,
        )(timeout=10)
        for message in first:
            await stream.write(message)
        answers = []
        while (answer := await stream.read()) is not grpc.aio.EOF:
            answers.append(answer)
        assert await stream.code() is grpc.StatusCode.OK
        assert doors.one.drain.inflight == 0
        if first:
            assert answers[-1].immediate_response.status.code == 408
