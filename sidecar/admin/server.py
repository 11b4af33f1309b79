"""The admin port's HTTP: tiny handlers over AdminState, errors as {"detail"}, nothing cached."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import orjson
from aiohttp import web

from sidecar.admin.callers import refusal_of
from sidecar.admin.readiness import assess
from sidecar.admin.state import AdminState, MetricsPage
from sidecar.admin.wire import SERVER_NAME, AdminProtocol
from sidecar.errors import UserError
from sidecar.model import Quota

_log = logging.getLogger("sidecar.admin")

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_CLOSE_SECONDS: Final = 2.0
_MAX_BODY: Final = 1024  # nothing here reads a body


class AdminServer:
    """Serves the admin port until closed."""

    def __init__(
        self,
        state: AdminState,
        metrics: MetricsPage,
        *,
        refresh: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Show `state` and `metrics`; `refresh` brings them up to date before each answer."""
        self._refresh = refresh
        self._state = state
        self._metrics = metrics
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen. Port 0 takes a free one. Raises UserError where the address cannot be had."""
        runner = web.AppRunner(self._application(), shutdown_timeout=_CLOSE_SECONDS)
        await runner.setup()
        loop = asyncio.get_running_loop()
        manager = runner.server
        if manager is None:
            raise RuntimeError("the admin application was set up without a server")
        try:
            self._server = await loop.create_server(
                lambda: AdminProtocol(
                    manager,
                    loop=loop,
                    access_log=None,  # type: ignore[arg-type]  # no log, as AppRunner passes it
                ),
                host,
                port,
            )
        except OSError as error:
            await runner.cleanup()
            raise UserError(
                f"--admin: {host}:{port} cannot be listened on: {error.strerror or error}:"
                " give a free address of this machine"
            ) from error
        self._runner = runner

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it listens on. Raises RuntimeError before start."""
        if self._server is None:
            raise RuntimeError("the admin server has not been started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    async def close(self) -> None:
        """Stop listening, and give open requests a moment."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _application(self) -> web.Application:
        app = web.Application(
            middlewares=[_as_json, _local_changes, self._up_to_date], client_max_size=_MAX_BODY
        )
        app.router.add_get("/health", self._health)
        app.router.add_get("/ready", self._ready)
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_get("/policy", self._policy)
        app.router.add_get("/quota", self._quota)
        app.router.add_post("/reload", self._reload)
        app.router.add_post("/drain", self._drain)
        app.on_response_prepare.append(_unmarked)
        return app

    @web.middleware
    async def _up_to_date(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        if self._refresh is not None:
            await self._refresh()
        return await handler(request)

    async def _health(self, _request: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _ready(self, _request: web.Request) -> web.Response:
        readiness = assess(self._state.circumstances())
        checks = {
            name: {"ok": check.ok, "detail": check.detail}
            for name, check in readiness.checks.items()
        }
        body = {"ready": readiness.ready, "dependencies": checks}
        return _json(body, 200 if readiness.ready else 503)

    async def _metrics_page(self, request: web.Request) -> web.Response:
        page, content_type = self._metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def _policy(self, _request: web.Request) -> web.Response:
        return _json(dict(self._state.policy_view()))

    async def _quota(self, request: web.Request) -> web.Response:
        wanted = request.query.get("org_id")
        orgs: defaultdict[str, dict[str, object]] = defaultdict(dict)
        for org_id, quota in self._state.known_quotas():
            if wanted is None or org_id == wanted:
                orgs[org_id][quota.resource] = _quota_view(quota)
        return _json({"orgs": orgs})

    async def _reload(self, _request: web.Request) -> web.Response:
        report = await self._state.reload()
        if report.rejected:
            body = {"detail": "the policy was rejected, the last good one rules"}
            return _json({**body, "outcome": report.outcome, "problems": report.problems}, 422)
        return _json({"outcome": report.outcome})

    async def _drain(self, _request: web.Request) -> web.Response:
        self._state.drain()
        return _json({"draining": True}, 202)


def _quota_view(quota: Quota) -> dict[str, object]:
    """Show a quota in the platform's own words (contract, Quotas)."""
    try:
        moment = datetime.fromtimestamp(quota.reset_at, UTC)
        reset_at = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        reset_at = None  # beyond the calendar
    return {
        "used": quota.used,
        "limit": quota.limit,
        "remaining": quota.remaining,
        "period": quota.period,
        "reset_at": reset_at,
    }


def _json(body: object, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json")


@web.middleware
async def _as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Answer every error as {"detail"}, and no fault with more than that it was one."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        response = _json({"detail": error.reason}, error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:  # noqa: BLE001 (a fault is logged whole, and told as one)
        _log.exception("admin_fault", extra={"path": request.path})
        return _json({"detail": "a fault of the sidecar: its log has it"}, 500)


@web.middleware
async def _local_changes(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Let only programs on this machine change state."""
    if request.method not in {"GET", "HEAD"} and request.match_info.http_exception is None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        refusal = refusal_of(peer, request.headers)
        if refusal is not None:
            return _json({"detail": refusal}, 403)
    return await handler(request)


async def _unmarked(_request: web.Request, response: web.StreamResponse) -> None:
    """Say neither versions nor anything that may be kept."""
    response.headers["Server"] = SERVER_NAME
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
