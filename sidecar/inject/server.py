"""The webhook's server: TLS, one path for reviews, one for health; certificates are read again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import signal
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from sidecar.errors import UserError
from sidecar.inject.config import InjectorConfig
from sidecar.inject.review import about, respond
from sidecar.inject.shape import NotAReview, read

_log = logging.getLogger("sidecar.inject")
_http_log = logging.getLogger("sidecar.inject.http")

MAX_REVIEW_BYTES: Final = 8 * 1024 * 1024
"""An object of the API is at most 1.5 MiB in etcd; a review holds it twice, in JSON."""
_GRACE: Final = 5.0
_LOOK_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of the server's certificate (with its chain) and private key, PEM."""

    cert: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Make the server's TLS context. Raises UserError when the files cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let new connections see the files as they are now. Raises UserError as `context`."""
        for path in (self.cert, self.key):
            if not path.is_file():
                raise UserError(f"{path}: is no file: mount the webhook's certificate there")
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise UserError(
                f"{self.cert}, {self.key}: are no certificate and key that fit: {error}"
            ) from error

    def digest(self) -> bytes:
        """Return a digest of both files: times lie when a mount swaps its links."""
        found = hashlib.sha256()
        for path in (self.cert, self.key):
            with contextlib.suppress(OSError):
                found.update(path.read_bytes())
        return found.digest()


class _Strangers(logging.Filter):
    """One quiet line for what is not HTTP: the library's is an error with a traceback."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, those that are nobody's fault here in other words."""
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
        self._runner: web.AppRunner | None = None
        self._context: ssl.SSLContext | None = None
        self._seen = b""

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port, which matters where it was given as 0. Raises UserError."""
        self._context = self._certificate.context()
        self._seen = self._certificate.digest()
        app = web.Application(client_max_size=MAX_REVIEW_BYTES)
        app.router.add_post("/mutate", self._review)
        app.router.add_get("/health", _health)
        self._runner = web.AppRunner(
            app, access_log=None, logger=_http_log, shutdown_timeout=_GRACE
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port, ssl_context=self._context)
        try:
            await site.start()
        except OSError as error:
            await self.close()
            raise UserError(
                f"--port: {host}:{port} cannot be listened on: {error.strerror or error}:"
                " give a free address of this machine"
            ) from error
        bound: int = self._runner.addresses[0][1]
        return bound

    async def close(self) -> None:
        """Stop listening; reviews under way are answered."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def watch(self, interval: float = _LOOK_SECONDS) -> None:
        """Take a renewed certificate, until cancelled; a broken one changes nothing."""
        while True:
            await asyncio.sleep(interval)
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

    async def _review(self, request: web.Request) -> web.Response:
        try:
            asked = read(await request.read())
            review = respond(asked, self._config)
        except NotAReview as error:
            _log.warning("no_review", extra={"why": str(error)})
            return web.json_response({"detail": str(error)}, status=400)
        response = review["response"]
        told = {"uid": response["uid"], "kind": asked["kind"]["kind"], "object": about(asked)}
        if not response["allowed"]:
            _log.warning("refused", extra={**told, "why": response["status"]["message"]})
        elif "patch" in response:
            _log.info("patched", extra=told)
        return web.json_response(review)


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


@contextlib.asynccontextmanager
async def _running(
    config: InjectorConfig, certificate: Certificate, host: str, port: int
) -> AsyncIterator[int]:
    server = InjectorServer(config, certificate)
    bound = await server.start(host, port)
    watching = asyncio.ensure_future(server.watch())
    try:
        yield bound
    finally:
        watching.cancel()
        await server.close()


async def run_injector(
    config: InjectorConfig, certificate: Certificate, *, host: str, port: int
) -> None:
    """Serve until SIGTERM or SIGINT. Raises UserError for what a user can mend."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _running(config, certificate, host, port) as bound:
        _log.info("started", extra={"listen": f"https://{host}:{bound}"})
        await stop.wait()
    _log.info("stopped")
