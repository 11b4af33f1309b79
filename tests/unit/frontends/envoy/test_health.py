"""Whether Envoy should go on asking."""

from __future__ import annotations

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from sidecar.frontends.envoy.health import Health
from sidecar.proxy.drain import Drain
from tests.fakes.rpcs import AbortedError, ProcessingRpc


@pytest.mark.parametrize("service", ["", "envoy.service.auth.v3.Authorization"])
async def test_it_serves_until_the_drain_begins(service: str) -> None:
    """Then Envoy asks another replica, while calls under way finish."""
    drain = Drain()
    health = Health(drain, frozenset({"envoy.service.auth.v3.Authorization"}))
    request = HealthCheckRequest(service=service)
    assert (await health.check(request, ProcessingRpc())).status == HealthCheckResponse.SERVING
    drain.begin()
    assert (await health.check(request, ProcessingRpc())).status == HealthCheckResponse.NOT_SERVING


async def test_an_unknown_service_is_not_found() -> None:
    """As the protocol has it."""
    with pytest.raises(AbortedError, match="NOT_FOUND"):
        await Health(Drain(), frozenset()).check(HealthCheckRequest(service="x"), ProcessingRpc())


def test_the_handler_is_the_protocols() -> None:
    """By its name."""
    handler = Health(Drain(), frozenset()).handler
    assert isinstance(handler, grpc.ServiceRpcHandler)
    assert handler.service_name() == "grpc.health.v1.Health"
