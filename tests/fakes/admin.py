"""What the admin port looks at, standing still or broken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from typing_extensions import override

from sidecar.admin.readiness import Circumstances
from sidecar.admin.state import ReloadReport
from sidecar.domain.choices import OnPlatformError
from sidecar.domain.quota import Quota


class StaticState:
    """An AdminState that answers what it holds, and counts what was asked of it."""

    def __init__(self) -> None:
        self.now = Circumstances(
            draining=False,
            policy_problem="",
            platform_problem="",
            journal_problem="",
            keys=1,
            keys_problem="",
            keys_needed=True,
            modes=frozenset({OnPlatformError.FAIL_OPEN}),
        )
        self.report = ReloadReport("loaded")
        self.quotas: list[tuple[str, Quota]] = []
        self.reloads = 0
        self.drains = 0
        self.failed = ""

    def failure(self) -> str:
        return self.failed

    def circumstances(self) -> Circumstances:
        return self.now

    def policy_view(self) -> Mapping[str, object]:
        return {"product": "acme-notes", "version": 1}

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        return self.quotas

    async def reload(self) -> ReloadReport:
        self.reloads += 1
        return self.report

    def drain(self) -> None:
        self.drains += 1


class BrokenState(StaticState):
    """An AdminState whose view of the policy is a fault, with a credential in its text."""

    @override
    def policy_view(self) -> Mapping[str, object]:
        raise RuntimeError("bbas_hunter2")


class StaticMetrics:
    """A metrics page that repeats what it was asked for."""

    async def render(self, accept: str, accept_encoding: str) -> tuple[bytes, str, str]:
        """Repeat Accept as the page, and Accept-Encoding as its coding."""
        return accept.encode(), "text/plain; version=0.0.4; charset=utf-8", accept_encoding
