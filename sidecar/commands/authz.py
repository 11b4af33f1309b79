"""`bb-sidecar authz`: decides for programs that forward by themselves."""

from __future__ import annotations

import argparse
import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache

from sidecar.admission.engine import Engine
from sidecar.app.context import Context
from sidecar.app.early_signals import end_on_sigterm
from sidecar.app.open_files import raise_limit
from sidecar.app.process import run as run_process
from sidecar.domain.errors import UserError
from sidecar.frontends.door import Door
from sidecar.frontends.forward_auth import ForwardAuth
from sidecar.policy.compiled import Policy
from sidecar.policy.doors import DoorKind, refuse_at, unkept_by
from sidecar.policy.store import PolicyStore
from sidecar.proxy.body_memory import BodyMemory
from sidecar.proxy.server import is_in
from sidecar.settings.authz import AuthzSettings, authz_settings

log = logging.getLogger("sidecar.app")


def authz(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit status. Raises UserError."""
    raise_limit()
    end_on_sigterm()
    settings = authz_settings(args, environ)
    return run_process(settings.shared, environ, other=AuthzPlane(settings))


class AuthzPlane:
    """What `authz` serves in place of the proxy, and the policies that it cannot keep."""

    def __init__(self, settings: AuthzSettings) -> None:
        """Serve as the settings say. Raises UserError where a package is missing for that."""
        self._settings = settings
        self._grpc = settings.listen.grpc
        self.grpc_port = 0
        if self._grpc is not None:
            _need_packages()
        self._door: Door | None = None
        self._owned = AsyncExitStack()

    def open(
        self,
        engine: Engine,
        policies: PolicyStore,
        context: Context,
        memory: BodyMemory,
    ) -> ForwardAuth:
        """Put the door before the engine."""
        self._owned = context.owned
        self._door = door = Door(
            engine=engine,
            policy=lambda: policies.current,
            clock=context.clock,
            observer=context.observer,
            memory=memory,
            max_inflight=self._settings.shared.limits.max_inflight,
            nonce=secrets.token_hex(6),
        )
        return ForwardAuth(door)

    def check(self, policy: Policy, file: str) -> None:
        """Refuse what no door here can keep. Raises PolicyError.

        What needs the answer is for ext_proc alone: the other doors refuse those calls.
        """
        with_grpc = self._grpc is not None
        if with_grpc:
            refuse_at(DoorKind.EXT_PROC, policy, file)
        refuse_at(DoorKind.AUTHZ, policy, file, beside_ext_proc=with_grpc)
        for part in unkept_by(DoorKind.EXT_AUTHZ, policy) if with_grpc else ():
            log.warning("ext_proc_only", extra={"problem": str(part)})

    async def listen(self) -> None:
        """Open the gRPC port, if there is one. Raises UserError."""
        if self._grpc is None or self._door is None:
            return
        from sidecar.frontends.envoy.grpc_server import GrpcServer  # noqa: PLC0415 - an extra
        from sidecar.frontends.envoy.tls import TlsFiles  # noqa: PLC0415

        listen = self._settings.listen
        files = None
        if listen.grpc_cert is not None and listen.grpc_key is not None:
            files = TlsFiles(listen.grpc_cert, listen.grpc_key, listen.grpc_client_ca)
        server = GrpcServer(self._door, self._is_trusted(), files)
        self.grpc_port = await server.start(self._grpc.host, self._grpc.port)
        self._owned.push_async_callback(server.close)

    def _is_trusted(self) -> Callable[[str], bool]:
        networks = self._settings.shared.listen.trusted_proxies
        return lru_cache(maxsize=1024)(lambda host: is_in(host, networks))


def _need_packages() -> None:
    try:
        import sidecar.frontends.envoy.grpc_server  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        raise UserError(
            f"--grpc: the package {package} is missing: pip install 'bizbasics-sidecar[envoy]'"
        ) from error
