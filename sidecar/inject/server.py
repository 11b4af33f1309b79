"""The webhook's server: TLS, one path for reviews; beside it a plain port for probes and scrapers.

Any pod of the cluster can ask it where no network policy prevents that, so what an asker can cost
is bounded before the client is known: connections, the bytes of all bodies at once, the time of
one, the values in it and the size of the answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from sidecar.domain.errors import UserError
from sidecar.http1.listening import refusal
from sidecar.http1.places import CrowdedOutError, Places
from sidecar.inject.certificate import Certificate
from sidecar.inject.config import InjectorConfig
from sidecar.inject.connections import Connections, PlacedConnection
from sidecar.inject.listener import WebhookListener
from sidecar.inject.review import about, answer
from sidecar.inject.reviews import ReviewCounts, ReviewOutcome
from sidecar.inject.shape import NotAReview, read

_log = logging.getLogger("sidecar.inject")
_http_log = logging.getLogger("sidecar.inject.http")

MAX_REVIEW_BYTES: Final = 3 * 1024 * 1024
"""An object of the API is at most 1.5 MiB in etcd; a review may hold it twice."""

_AT_ONCE_BYTES: Final = 2 * MAX_REVIEW_BYTES
"""Of all reviews that are being received: hundreds of usual ones. For more, the oldest end."""

_BODY_SECONDS: Final = 5.0
_IDLE_SECONDS: Final = 120.0
"""Longer than the API server keeps a connection idle, so that it is the one to close it."""

_CONNECTIONS: Final = 40
_PLAIN_CONNECTIONS: Final = 32
_LINGER_SECONDS: Final = 1.0
_GRACE: Final = 5.0
_LOOK_SECONDS: Final = 10.0

_Host = tuple[str, int]


class _Strangers(logging.Filter):
    """One quiet line for what is not HTTP: the library's is an error with a traceback."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, those that are no fault of ours in other words."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args, record.exc_info = "bad_request", (), None
            record.levelno, record.levelname = logging.INFO, logging.getLevelName(logging.INFO)
        return True


_http_log.addFilter(_Strangers())


class InjectorServer:
    """Answers the API server."""

    def __init__(self, config: InjectorConfig, certificate: Certificate) -> None:
        self._config = config
        self._certificate = certificate
        self._counts = ReviewCounts()
        self._places = Places(_AT_ONCE_BYTES, _BODY_SECONDS)
        self._connections = Connections(_CONNECTIONS)
        self._owned = contextlib.AsyncExitStack()
        self._context: ssl.SSLContext | None = None
        self._seen = b""

    async def start(self, host: str, port: int) -> int:
        """Take reviews; return the port, which matters where it was given as 0. UserError."""
        self._context = self._certificate.context()
        self._seen = self._certificate.digest()
        app = web.Application(client_max_size=MAX_REVIEW_BYTES)
        app.router.add_post("/mutate", self._review)
        watching = asyncio.create_task(self._watch(), name="certificate watch")
        self._owned.callback(watching.cancel)
        return await self._listen(app, self._connections, (host, port), "--listen", self._context)

    async def start_plain(self, host: str, port: int) -> int:
        """Serve /health and /metrics without TLS; return the port. Raises UserError."""
        app = web.Application(client_max_size=1)
        app.router.add_get("/metrics", self._metrics)
        connections = Connections(_PLAIN_CONNECTIONS)
        return await self._listen(app, connections, (host, port), "--metrics", None)

    async def _listen(
        self,
        app: web.Application,
        connections: Connections,
        where: _Host,
        flag: str,
        context: ssl.SSLContext | None,
    ) -> int:
        app.router.add_get("/health", _health)
        runner = web.AppRunner(app, shutdown_timeout=_GRACE)
        self._owned.push_async_callback(runner.cleanup)
        await runner.setup()
        server = runner.server
        if server is None:
            raise RuntimeError("the application was set up without a server")
        listener = WebhookListener(
            lambda place: PlacedConnection(
                place,
                connections,
                server,
                access_log=None,
                logger=_http_log,
                auto_decompress=False,
                keepalive_timeout=_IDLE_SECONDS,
                lingering_time=_LINGER_SECONDS,
            ),
            connections,
            context,
        )
        try:
            bound = listener.start(*where)
        except OSError as error:
            raise refusal(error, *where, host_flag=flag, port_flag=flag) from error
        self._owned.push_async_callback(listener.close)
        return bound

    async def close(self) -> None:
        """Stop listening; reviews under way are answered."""
        await self._owned.aclose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            self.renew()

    def renew(self) -> bool:
        """Look at the certificate's files now; True when new ones were taken."""
        now = self._certificate.digest()
        if now == self._seen or self._context is None:
            return False
        self._seen = now
        try:
            # Tried on a context of its own: a pair half written must not spoil the one in use.
            self._certificate.context()
            self._certificate.load_into(self._context)
        except UserError as error:
            _log.error("certificate_rejected", extra={"why": str(error)})
            return False
        _log.info("certificate_renewed", extra={"cert": str(self._certificate.cert)})
        return True

    async def _metrics(self, _request: web.Request) -> web.Response:
        page, content_type = self._counts.page()
        return web.Response(body=page, headers={"Content-Type": content_type})

    async def _review(self, request: web.Request) -> web.Response:
        try:
            outcome, body = await self._answer(request)
        except Exception:
            self._counts.add(ReviewOutcome.FAULT)
            raise
        self._counts.add(outcome)
        response = web.json_response(body, status=outcome.status)
        if outcome.status in {ReviewOutcome.TOO_LARGE.status, ReviewOutcome.TOO_SLOW.status}:
            response.force_close()
        return response

    async def _answer(self, request: web.Request) -> tuple[ReviewOutcome, dict[str, Any]]:
        if request.headers.get("Content-Encoding", "identity") != "identity":
            return ReviewOutcome.ENCODED, {"detail": "a review is not compressed"}
        size = request.content_length
        too_large = {"detail": f"a review is at most {MAX_REVIEW_BYTES} bytes"}
        if size is not None and size > MAX_REVIEW_BYTES:
            return ReviewOutcome.TOO_LARGE, too_large
        try:
            async with self._places.take(MAX_REVIEW_BYTES if size is None else size):
                body = await _body_of(request)
        except ConnectionError:
            return ReviewOutcome.GONE, {}
        except TimeoutError:
            return ReviewOutcome.TOO_SLOW, {"detail": f"the body took over {_BODY_SECONDS:g} s"}
        except CrowdedOutError:
            return ReviewOutcome.CROWDED_OUT, {"detail": "too many reviews are being received"}
        if body is None:
            return ReviewOutcome.TOO_LARGE, too_large
        try:
            asked = read(body)
            review = answer(asked, self._config)
        except NotAReview as error:
            _log.warning("no_review", extra={"why": str(error)})
            return ReviewOutcome.MALFORMED, {"detail": str(error)}
        if isinstance(request.protocol, PlacedConnection):
            self._connections.was_useful(request.protocol.place)
        return _logged(asked, review), review


async def _body_of(request: web.Request) -> bytearray | None:
    """Read a body, None where it is too large; `request.read()` would keep it with the connection.

    Raises ConnectionError when the client has gone.
    """
    body = bytearray()
    async for part in request.content.iter_any():
        body += part
        if len(body) > MAX_REVIEW_BYTES:
            return None
    return body


def _logged(asked: dict[str, Any], review: dict[str, Any]) -> ReviewOutcome:
    response = review["response"]
    found = {"uid": response["uid"], "kind": asked["kind"]["kind"], "object": about(asked)}
    if not response["allowed"]:
        _log.warning("refused", extra={**found, "why": response["status"]["message"]})
        return ReviewOutcome.REFUSED
    if "patch" in response:
        _log.info("patched", extra=found)
        return ReviewOutcome.PATCHED
    return ReviewOutcome.UNCHANGED


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def run_injector(
    config: InjectorConfig,
    certificate: Certificate,
    *,
    host: str,
    port: int,
    metrics: _Host | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Raises UserError for what a user can fix."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    server = InjectorServer(config, certificate)
    try:
        bound = await server.start(host, port)
        if metrics is not None:
            await server.start_plain(*metrics)
        _log.info("started", extra={"listen": f"https://{host}:{bound}"})
        await stop.wait()
    finally:
        await server.close()
    _log.info("stopped")
