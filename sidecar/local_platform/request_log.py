"""Recent API calls, shown to the credential that made them (contract, Debugging)."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.directory import OrgCaller
from sidecar.local_platform.store import Store
from sidecar.local_platform.webhook_wire import ApiRequestsReply, RecordedRequest
from sidecar.local_platform.wire import RecentQuery


@dataclass(frozen=True, slots=True)
class RequestLog:
    """The calls of orgs, by credential; the oldest are forgotten."""

    _store: Store
    _clock: Clock

    def note(self, credential: str, method: str, path: str, status: int, seconds: float) -> None:
        """Remember a call that was answered; `seconds` is how long that took."""
        with self._store.transaction():
            self._store.run(
                "INSERT INTO api_requests (credential, method, path, status, duration_ms, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (credential, method, path, status, round(seconds * 1000, 3), self._clock.time()),
            )
            self._store.keep_newest("api_requests", choices.REQUESTS_KEPT)

    def recent(self, caller: OrgCaller, query: RecentQuery) -> ApiRequestsReply:
        """Recent calls made with the caller's own credentials, newest first."""
        rows = self._store.rows(
            "SELECT * FROM api_requests WHERE credential = ? ORDER BY id DESC LIMIT ?",
            (caller.credential, query.limit),
        )
        return ApiRequestsReply(requests=[RecordedRequest(**row) for row in rows])
