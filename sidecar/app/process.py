"""One sidecar as a process: its signals, its log, and what the garbage collector skips."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, Protocol

import uvloop

from sidecar.app.startup_warnings import log_startup_warnings
from sidecar.app.wiring import App, OtherPlane
from sidecar.policy.file import read_policy_file
from sidecar.settings.run import Settings
from sidecar.settings.sections import LogFormat, ProcessSettings
from sidecar.telemetry.logs import setup_logging
from sidecar.telemetry.redaction import Redactor

log = logging.getLogger("sidecar.serving")

_CUT_SHORT_SECONDS: Final = 5.0
"""Time for a start that is cut short to end what it has begun."""


class Service(Protocol):
    """What a process runs: one sidecar, or the parent of its workers."""

    async def start(self) -> None:
        """Start every part. Raises UserError."""

    async def stop(self) -> object:
        """Drain, then end every part, also where the start was cut short."""

    def hurry(self) -> None:
        """End the drain now."""

    def begin_reload(self) -> None:
        """Read the policy again, without waiting for how that ends."""


def run(settings: Settings, environ: Mapping[str, str], *, other: OtherPlane | None = None) -> int:
    """Run a sidecar of one process; return the exit status. Raises UserError.

    `other` serves in place of the proxy.
    """

    def made(redactor: Redactor, policy: bytes) -> App:
        return App(settings, environ, redactor, policy=policy, other=other)

    return run_service(settings, environ, made)


def run_service(
    settings: Settings, environ: Mapping[str, str], made: Callable[[Redactor, bytes], Service]
) -> int:
    """Run what is `made` of the log's redactor and the policy file's content. Raises UserError."""
    redactor = start_logging(settings.process)
    # Before the loop, whose signal handlers could not end the wait for a pipe.
    content = read_policy_file(settings.policy.file)
    log_startup_warnings(settings, environ, content)
    return uvloop.run(run_until_asked(made(redactor, content), spare_what_stays))


def start_logging(settings: ProcessSettings) -> Redactor:
    """Send all logs to stderr as the settings say."""
    chosen = settings.log_format
    terminal = LogFormat.TEXT if sys.stderr.isatty() else LogFormat.JSON
    return setup_logging(settings.log_level.value, (chosen or terminal).value)


async def spare_what_stays() -> None:
    """Have the collector skip all objects that exist once a process serves: they are never garbage.

    A pass over it would stop the loop for a tenth of a second. Nor is there one before: of what the
    start has left, a hundredth is garbage.
    """
    gc.freeze()
    gc.enable()


async def run_until_asked(
    service: Service, started: Callable[[], Awaitable[None]] | None = None
) -> int:
    """Run a service until SIGTERM or SIGINT; `started` is called once it serves.

    SIGHUP reads the policy again. A second SIGTERM or SIGINT ends the drain at once.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    again = asyncio.Event()

    def asked() -> None:
        (again if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    loop.add_signal_handler(signal.SIGHUP, service.begin_reload)
    if not await _completed(service.start(), stop):
        await service.stop()
        return 0
    if started is not None:
        await started()
    await stop.wait()
    stopping = asyncio.ensure_future(service.stop())
    hurry = asyncio.ensure_future(again.wait())
    await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not stopping.done():
        log.warning("drain_ended", extra={"why": "asked twice"})
        service.hurry()
    await stopping
    return 0


async def _completed(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Do the work of a start; False where `stop` cut it short. Raises what the work raises."""
    doing = asyncio.ensure_future(work)
    asked = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((doing, asked), return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()
        if not doing.done():
            doing.cancel()
            await asyncio.wait((doing,), timeout=_CUT_SHORT_SECONDS)
    if not stop.is_set():
        doing.result()
        return True
    if doing.done() and not doing.cancelled() and (fault := doing.exception()) is not None:
        log.warning("start_cut_short", extra={"fault": str(fault)})
    return False
