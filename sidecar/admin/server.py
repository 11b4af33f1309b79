"""The admin port: tiny handlers over AdminState, errors as {"detail"}, nothing cached."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import orjson

from sidecar.admin.callers import refusal_of
from sidecar.admin.listening import listen_at, listen_on, remove_socket
from sidecar.admin.readiness import assess
from sidecar.admin.state import AdminState, AdminView, MetricsPage, Refresh
from sidecar.admin.wire import AdminConnections, AdminHandler, AdminRequest, answer_of, as_json
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.instants import utc_text
from sidecar.domain.quota import Quota
from sidecar.settings.sections import AdminSettings
from sidecar.settings.values import Address

_log = logging.getLogger("sidecar.admin")

_CLOSE_SECONDS: Final = 2.0

_CHANGES: Final = frozenset({"/reload", "/drain"})
_LOCAL: Final = _CHANGES | {"/quota", "/policy"}
"""What only a program on this machine may ask for."""
_PROBES: Final = frozenset({"/metrics", "/health", "/ready"})
"""What `--metrics` serves."""


class AdminServer:
    """Serves the admin port, and what is asked for beside it, until closed."""

    def __init__(
        self, state: AdminState, metrics: MetricsPage, *, refresh: Refresh | None = None
    ) -> None:
        """Show `state` and `metrics`; `refresh` brings a view up to date before it is shown."""
        self._state = state
        self._metrics = metrics
        self._refresh = refresh
        self._own_host = ""
        self._socket: Path | None = None
        self._address: tuple[str, int] | None = None
        self.metrics_address: tuple[str, int] | None = None
        self._listeners: list[tuple[asyncio.Server, AdminConnections]] = []
        get, post = ("GET", "HEAD"), ("POST",)
        self._routes: dict[str, tuple[tuple[str, ...], AdminHandler]] = {
            "/health": (get, self._health),
            "/ready": (get, self._ready),
            "/metrics": (get, self._metrics_page),
            "/policy": (get, self._policy),
            "/quota": (get, self._quota),
            "/reload": (post, self._reload),
            "/drain": (post, self._drain),
        }

    async def open(self, settings: AdminSettings) -> None:
        """Listen wherever the settings say. Raises UserError where that cannot be."""
        try:
            if settings.socket is not None:
                await self.start_socket(settings.socket)
            if settings.metrics is not None:
                await self.start_metrics(settings.metrics.host, settings.metrics.port)
            await self.start(settings.address.host, settings.address.port)
        except BaseException:
            await self.close()
            raise

    async def start(self, host: str, port: int) -> None:
        """Listen at the admin address. Port 0 takes a free one. Raises UserError."""
        self._own_host = host
        self._address = await self._listen("--admin", host, port, self._on_admin)

    async def start_metrics(self, host: str, port: int) -> None:
        """Listen at an address for scrapers and probes alone. Raises UserError."""
        self.metrics_address = await self._listen("--metrics", host, port, self._on_metrics)

    async def start_socket(self, path: Path) -> None:
        """Listen on a Unix socket; from now on changes are taken there alone. Raises UserError."""
        connections = AdminConnections(self._answer)
        server = await listen_on("--admin-socket", path, connections)
        self._listeners.append((server, connections))
        self._socket = path

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the admin port. Raises RuntimeError before start."""
        if self._address is None:
            raise RuntimeError("the admin server has not been started")
        return self._address

    def urls(self) -> dict[str, str]:
        """Return where the admin port and the port for scrapers are, by the names of the log."""
        found = {"admin": self.address, "metrics": self.metrics_address}
        return {name: Address(*at).url for name, at in found.items() if at is not None}

    async def close(self) -> None:
        """Stop listening, and give open requests a moment."""
        for server, _ in self._listeners:
            server.close()
        if self._socket is not None:
            remove_socket(self._socket)
        await asyncio.gather(*(each.close(_CLOSE_SECONDS) for _, each in self._listeners))
        self._listeners = []
        self._socket = self._address = self.metrics_address = None

    async def _listen(
        self, flag: str, host: str, port: int, handler: AdminHandler
    ) -> tuple[str, int]:
        connections = AdminConnections(handler)
        server = await listen_at(flag, host, port, connections)
        self._listeners.append((server, connections))
        host, port = server.sockets[0].getsockname()[:2]
        return host, port

    # one request

    async def _on_admin(self, request: AdminRequest) -> OwnAnswer:
        """Answer on the admin port: changes, and what names orgs, to programs here alone."""
        if request.path in _LOCAL:
            refusal = refusal_of(request.peer, request.fields, self._own_host)
            if refusal is None and self._socket is not None and request.path in _CHANGES:
                refusal = "changes are taken on the Unix socket of --admin-socket alone"
            if refusal is not None and self._allows(request):
                return as_json({"detail": refusal}, 403)
        return await self._answer(request)

    async def _on_metrics(self, request: AdminRequest) -> OwnAnswer:
        return await self._answer(request) if request.path in _PROBES else _NOT_FOUND

    def _allows(self, request: AdminRequest) -> bool:
        return request.method in self._routes[request.path][0]

    async def _answer(self, request: AdminRequest) -> OwnAnswer:
        """Answer; a fault says no more than that it was one."""
        if request.path not in self._routes:
            return _NOT_FOUND
        methods, handler = self._routes[request.path]
        if request.method not in methods:
            detail = {"detail": "Method Not Allowed"}
            return as_json(detail, 405, ((b"Allow", ", ".join(methods).encode()),))
        try:
            return await handler(request)
        except Exception:  # noqa: BLE001 - a fault is logged whole, and answered as one
            _log.exception("admin_fault", extra={"path": request.path})
            return as_json({"detail": "a fault of the sidecar: its log has it"}, 500)

    async def _up_to_date(self, view: AdminView) -> None:
        if self._refresh is not None:
            await self._refresh(view)

    async def _health(self, _request: AdminRequest) -> OwnAnswer:
        """Answer at once: no worker is waited for."""
        failure = self._state.failure()
        if failure:
            return as_json({"status": "failed", "detail": failure}, 503)
        return as_json({"status": "ok"})

    async def _ready(self, _request: AdminRequest) -> OwnAnswer:
        await self._up_to_date(AdminView.CONDITION)
        checks = assess(self._state.circumstances())
        ready = all(check.ok for check in checks.values())
        return as_json({"ready": ready, "dependencies": checks}, 200 if ready else 503)

    async def _metrics_page(self, request: AdminRequest) -> OwnAnswer:
        await self._up_to_date(AdminView.COUNTS)
        asked = request.fields
        page, content_type, coding = await self._metrics.render(
            asked.get("accept", ""), asked.get("accept-encoding", "")
        )
        fields = [
            (b"Content-Type", content_type.encode()),
            (b"Vary", b"Accept, Accept-Encoding"),
        ]
        if coding:
            fields.append((b"Content-Encoding", coding.encode()))
        return answer_of(page, fields=tuple(fields))

    async def _policy(self, _request: AdminRequest) -> OwnAnswer:
        """Show the policy, made in a thread: one of a thousand routes takes a while."""
        return answer_of(await asyncio.to_thread(_policy_page, self._state.policy_view))

    async def _quota(self, request: AdminRequest) -> OwnAnswer:
        await self._up_to_date(AdminView.QUOTAS)
        wanted = parse_qs(request.query).get("org_id", [None])[-1]
        orgs: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for org_id, quota in self._state.known_quotas():
            if wanted is None or org_id == wanted:
                orgs[org_id][quota.resource] = _quota_view(quota)
        return as_json({"orgs": orgs})

    async def _reload(self, _request: AdminRequest) -> OwnAnswer:
        report = await self._state.reload()
        if report.problems:
            body = {"detail": "the policy was rejected, the last good one stays in force"}
            return as_json({**body, "outcome": report.outcome, "problems": report.problems}, 422)
        return as_json({"outcome": report.outcome})

    async def _drain(self, _request: AdminRequest) -> OwnAnswer:
        self._state.drain()
        return as_json({"draining": True}, 202)


_NOT_FOUND: Final = as_json({"detail": "Not Found"}, 404)


def _policy_page(view: Callable[[], Mapping[str, object]]) -> bytes:
    return orjson.dumps(dict(view()))


def _quota_view(quota: Quota) -> dict[str, object]:
    """Show a quota in the platform's own words (contract, Quotas)."""
    try:
        reset_at = utc_text(quota.reset_at)
    except (OverflowError, ValueError, OSError):
        reset_at = None  # beyond the calendar
    return {
        "used": quota.used,
        "limit": quota.limit,
        "remaining": quota.remaining,
        "period": quota.period,
        "reset_at": reset_at,
    }
