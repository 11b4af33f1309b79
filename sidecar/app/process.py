"""One sidecar as a process: its signals, its log, and what the garbage collector skips."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

import uvloop

from sidecar.app.startup_warnings import log_startup_warnings
from sidecar.app.wiring import App, OtherPlane
from sidecar.policy.file import read_policy_file
from sidecar.settings.run import Settings
from sidecar.settings.sections import LogFormat, ProcessSettings
from sidecar.telemetry.logs import setup_logging
from sidecar.telemetry.redaction import Redactor

log = logging.getLogger("sidecar.serving")

T = TypeVar("T")

_CUT_SHORT_SECONDS: Final = 5.0
"""Time for a start that is cut short to end what it has begun."""


def run(settings: Settings, environ: Mapping[str, str], *, other: OtherPlane | None = None) -> int:
    """Run the sidecar until SIGTERM or SIGINT; return the exit status. Raises UserError.

    `other` serves in place of the proxy. SIGHUP reads the policy again. A second SIGTERM or SIGINT
    ends the drain at once.
    """
    redactor = start_logging(settings.process)
    log_startup_warnings(settings)
    # Before the loop, whose signal handlers could not end the wait for a pipe.
    content = read_policy_file(settings.policy.file)
    app = App(settings, environ, redactor, policy=content, other=other)
    return uvloop.run(run_until_asked(app, spare_what_stays))


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


async def run_until_asked(app: App, started: Callable[[], Awaitable[None]] | None = None) -> int:
    """Run an app until SIGTERM or SIGINT; `started` is called once it serves."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    again = asyncio.Event()

    def asked() -> None:
        (again if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    if await unless(stop, _started(app)) is None:
        await app.stop(0)
        return 0
    loop.add_signal_handler(signal.SIGHUP, app.begin_reload)
    if started is not None:
        await started()
    await stop.wait()
    stopping = asyncio.ensure_future(app.stop())
    hurry = asyncio.ensure_future(again.wait())
    await asyncio.wait((stopping, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not stopping.done():
        log.warning("drain_ended", extra={"why": "asked twice"})
        app.hurry()
    await stopping
    return 0


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Do a step of the start, and return its result; None where `stop` cut it short."""
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
        return doing.result()
    if doing.done() and not doing.cancelled() and (fault := doing.exception()) is not None:
        log.warning("start_cut_short", extra={"fault": str(fault)})
    return None


async def _started(app: App) -> bool:
    await app.start()
    return True
