"""The list of recent calls."""

from __future__ import annotations

from sidecar.local_platform import choices
from sidecar.local_platform.directory import OrgCaller
from sidecar.local_platform.request_log import RequestLog
from sidecar.local_platform.store import Store
from sidecar.local_platform.wire import RecentQuery
from tests.fakes.clock import TurnedClock


def test_the_oldest_calls_are_forgotten(clock: TurnedClock) -> None:
    """The list stays as long as it is allowed to be."""
    store = Store(None)
    log = RequestLog(store, clock)
    for number in range(choices.REQUESTS_KEPT + 5):
        log.note("key:a", "GET", f"/{number}", 200, 0.0015)

    assert store.number("SELECT count(*) FROM api_requests") == choices.REQUESTS_KEPT
    newest = log.recent(OrgCaller("org", None, "key:a"), RecentQuery(limit=1)).requests[0]
    assert (newest.path, newest.duration_ms) == (f"/{choices.REQUESTS_KEPT + 4}", 1.5)
    assert not log.recent(OrgCaller("org", None, "key:b"), RecentQuery()).requests
    store.close()
