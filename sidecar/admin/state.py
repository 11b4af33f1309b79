"""What the admin port shows and steers, as protocols: app wires them, tests stand in for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sidecar.admin.readiness import Circumstances
from sidecar.domain.quota import Quota


class AdminView(StrEnum):
    """What of a sidecar is looked at."""

    CONDITION = "condition"
    QUOTAS = "quotas"
    COUNTS = "counts"


Refresh = Callable[[AdminView], Awaitable[None]]
"""Brings a view up to date, as far as that is possible. Never raises."""


@dataclass(frozen=True, slots=True)
class ReloadReport:
    """How a reload ended: the outcome's word, and every problem where the file was rejected."""

    outcome: str
    problems: tuple[str, ...] = ()


class AdminState(Protocol):
    """The running sidecar, as the admin port sees it. No peer is waited for."""

    def failure(self) -> str:
        """Say why only a restart helps; empty while the sidecar serves."""

    def circumstances(self) -> Circumstances:
        """Return the state of each dependency, for readiness."""

    def policy_view(self) -> Mapping[str, object]:
        """Return what is in force: plain data, resolved, without secrets. Called in a thread."""

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        """Return what the platform last said of each org that is remembered."""

    async def reload(self) -> ReloadReport:
        """Read the policy again; a bad file changes nothing."""

    def drain(self) -> None:
        """Begin to shut down: refuse new requests, let those under way finish. Idempotent."""


class MetricsPage(Protocol):
    """The page behind /metrics."""

    async def render(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str]:
        """Return the page, its content type and its content coding, as the two fields ask for."""
