"""grpc.health.v1.Health: whether Envoy should still ask this process.

Watch is not there: Envoy and Kubernetes call Check, and other clients do without it then.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from sidecar.proxy.drain import Drain

SERVICE: Final = "grpc.health.v1.Health"


class Health:
    """Answers probes: not serving from the start of the drain on."""

    def __init__(self, drain: Drain, services: frozenset[str]) -> None:
        self._drain = drain
        self._services = services | {"", SERVICE}

    @property
    def handler(self) -> Any:  # noqa: ANN401 - grpcio has no types
        """What the server calls."""
        check = grpc.unary_unary_rpc_method_handler(
            self.check,
            request_deserializer=HealthCheckRequest.FromString,
            response_serializer=HealthCheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": check})

    async def check(
        self,
        request: HealthCheckRequest,
        context: Any,  # noqa: ANN401
    ) -> HealthCheckResponse:
        """Answer one probe; a service that is not here is NOT_FOUND, as the protocol has it."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        draining = self._drain.draining
        return HealthCheckResponse(
            status=HealthCheckResponse.NOT_SERVING if draining else HealthCheckResponse.SERVING
        )
