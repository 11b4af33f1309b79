"""Serves the developer's page, to callers on this machine."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from sidecar.domain.instants import utc_text
from sidecar.domain.ports import Clock
from sidecar.local_platform.access import FROM_THIS_MACHINE
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.dispatch import WebHandler
from sidecar.local_platform.faults import FaultBox
from sidecar.local_platform.page import PageView, render
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.webhook_book import WebhookBook

_LATEST: Final = 25
_HEADERS: Final = {
    # No script runs here whatever an org is called, and no other page frames this one.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def page_handler(
    directory: Directory, book: QuotaBook, webhooks: WebhookBook, faults: FaultBox, clock: Clock
) -> WebHandler:
    """Return what answers `GET /` with the page as things are now, 403 to a caller elsewhere."""

    def view() -> PageView:
        in_force = faults.current.model_dump(exclude_defaults=True, mode="json")
        return PageView(
            orgs=[(org, book.quotas(org.id)) for org in directory.orgs()],
            consumes=book.latest(_LATEST),
            deliveries=webhooks.latest(_LATEST),
            now=utc_text(clock.time(), "auto"),
            faults=orjson.dumps(in_force).decode() if in_force else "",
        )

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            FROM_THIS_MACHINE.admit(request)
        except Rejection as rejection:
            return web.Response(status=rejection.status, text=f"{rejection.detail}\n")
        return web.Response(text=render(view()), content_type="text/html", headers=_HEADERS)

    return handle
