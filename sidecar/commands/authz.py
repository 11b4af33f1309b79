"""`bb-sidecar authz`: decides for programs that forward by themselves."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Mapping

from sidecar.admission.engine import Engine
from sidecar.app.context import Context
from sidecar.app.open_files import raise_limit
from sidecar.app.process import run as run_process
from sidecar.frontends.door import Door
from sidecar.frontends.forward_auth import ForwardAuth
from sidecar.policy.compiled import Policy
from sidecar.policy.doors import DoorKind, refuse_at
from sidecar.policy.store import PolicyStore
from sidecar.proxy.body_memory import BodyMemory
from sidecar.settings.authz import authz_settings


def authz(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit status. Raises UserError."""
    raise_limit()
    settings = authz_settings(args, environ)
    return run_process(settings, environ, other=AuthzPlane(settings.limits.max_inflight))


class AuthzPlane:
    """What `authz` serves in place of the proxy, and the policies that it cannot keep."""

    def __init__(self, max_inflight: int) -> None:
        self._max_inflight = max_inflight

    def open(
        self,
        engine: Engine,
        policies: PolicyStore,
        context: Context,
        memory: BodyMemory,
    ) -> ForwardAuth:
        """Put the door before the engine."""
        door = Door(
            engine=engine,
            policy=lambda: policies.current,
            clock=context.clock,
            observer=context.observer,
            memory=memory,
            max_inflight=self._max_inflight,
            nonce=secrets.token_hex(6),
        )
        return ForwardAuth(door)

    def check(self, policy: Policy, file: str) -> None:
        """Refuse what only a door that sees the answer can keep. Raises PolicyError."""
        refuse_at(DoorKind.AUTHZ, policy, file)
