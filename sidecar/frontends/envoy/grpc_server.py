"""The gRPC port of `authz`."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final

import grpc.aio

from sidecar.domain.errors import UserError
from sidecar.frontends.door import Door
from sidecar.frontends.envoy import ext_authz, ext_proc
from sidecar.frontends.envoy.health import Health
from sidecar.frontends.envoy.tls import ServerCertificate, TlsFiles
from sidecar.http1.listening import bound, refusal

log = logging.getLogger("sidecar.frontends")

MOST_BYTES: Final = 65 << 20
"""The largest message: the most that `body_limit` can be, and a head."""

CLOSING_SECONDS: Final = 1.0
"""How long the last answers have to be written, after the drain."""

SILENT_SECONDS: Final = 20
"""After so long without a byte an Envoy is asked whether it is there; after as long again without
an answer its streams end, where gRPC would wait for two hours."""

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MOST_BYTES),
    ("grpc.max_send_message_length", MOST_BYTES),
    ("grpc.so_reuseport", 0),  # a second process on the port is an error, as over HTTP
    ("grpc.keepalive_time_ms", SILENT_SECONDS * 1000),
    ("grpc.keepalive_timeout_ms", SILENT_SECONDS * 1000),
    ("grpc.keepalive_permit_without_calls", 1),  # Envoy's own keepalive pings are no attack
    ("grpc.http2.max_ping_strikes", 0),
)


class GrpcServer:
    """Serves Envoy's questions, and probes, until it is closed."""

    def __init__(
        self, door: Door, is_trusted: Callable[[str], bool], files: TlsFiles | None
    ) -> None:
        """Serve in clear text where `files` is None. Raises UserError for files of no use."""
        self._certificate = None if files is None else ServerCertificate(files)
        self._kind = "none" if files is None else "mtls" if files.client_ca else "tls"
        self._server: Any = grpc.aio.server(options=_OPTIONS)
        services = frozenset({ext_authz.SERVICE, ext_proc.SERVICE})
        self._server.add_generic_rpc_handlers(
            (
                ext_authz.ExtAuthz(door, is_trusted).handler,
                ext_proc.ExtProc(door, is_trusted).handler,
                Health(door.drain, services).handler,
            )
        )

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port. Raises UserError where that is not possible."""
        at = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound(host, port).close()  # an error of gRPC does not say what is wrong
            made: int
            if self._certificate is None:
                made = self._server.add_insecure_port(at)
            else:
                made = self._server.add_secure_port(at, self._certificate.credentials)
        except OSError as error:
            raise refusal(error, host, port, host_flag="--grpc", port_flag="--grpc") from error
        except RuntimeError as error:
            raise UserError(f"--grpc: {at} cannot be listened on: give another address") from error
        await self._server.start()
        log.info("grpc_started", extra={"listen": at.replace(":0", f":{made}"), "tls": self._kind})
        return made

    async def close(self) -> None:
        """End; calls that are still under way are cut off."""
        with contextlib.suppress(RuntimeError):
            await self._server.stop(CLOSING_SECONDS)
