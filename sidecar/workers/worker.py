"""One worker: a sidecar without an admin port, which answers its supervisor instead.

Run as `python -m sidecar.workers.worker FD`, where FD is its end of the socket pair. It ends on
SIGTERM, draining as a sidecar does, and when its supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from typing import Final

import uvloop

from sidecar.admin.state import AdminView
from sidecar.app.process import run_until_asked, spare_what_stays, start_logging
from sidecar.app.wiring import App
from sidecar.domain.errors import UserError
from sidecar.policy.problems import PolicyError
from sidecar.telemetry.snapshot import Snapshot
from sidecar.workers.link import (
    Command,
    Condition,
    Done,
    Found,
    Link,
    LinkClosedError,
    Message,
    Orders,
    Up,
    WorkerCounts,
    WorkerFailed,
    WorkerQuotas,
)

log = logging.getLogger("sidecar.workers")

_LAST_COUNTS_SECONDS: Final = 2.0


def main() -> int:
    """Serve until the supervisor or SIGTERM ends it; return the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its supervisor's to act on
    pair = socket.socket(fileno=int(sys.argv[1]))
    pair.set_inheritable(False)
    return uvloop.run(_work(pair))


async def _work(pair: socket.socket) -> int:
    link = Link(*await asyncio.open_connection(sock=pair))
    try:
        orders = await link.receive()
    except LinkClosedError:  # the supervisor ended before this process had begun
        link.close()
        return 0
    if not isinstance(orders, Orders):
        raise TypeError("a worker receives its orders first")
    settings = orders.settings
    redactor = start_logging(settings.process)
    app = App(settings, os.environ, redactor, policy=orders.policy, worker=True, share=orders.share)
    answering: asyncio.Task[None] | None = None

    async def started() -> None:
        nonlocal answering
        await spare_what_stays()
        await link.send(Up(app.port))
        answering = asyncio.create_task(_answer(link, app), name="supervisor link")

    try:
        return await run_until_asked(app, started)
    except LinkClosedError:  # the supervisor has ended meanwhile
        await app.stop(0)
        return 0
    except UserError as error:
        with contextlib.suppress(LinkClosedError):
            await link.send(WorkerFailed(str(error)))
        return 2
    finally:
        if answering is not None:
            answering.cancel()
            await asyncio.wait((answering,))
            await _send_last_counts(link, app)
        link.close()


async def _answer(link: Link, app: App) -> None:
    """Do what the supervisor asks, until it is gone; then end as after SIGTERM."""
    try:
        while True:
            ask = await link.receive()
            if ask is AdminView.COUNTS:
                await _send_counts(link, app)
                continue
            answer: Message = Done()
            try:
                answer = await _answer_to(ask, app)
            except Exception:
                log.exception("worker_fault", extra={"asked": type(ask).__name__})
            await link.send(answer)
    except LinkClosedError:
        os.kill(os.getpid(), signal.SIGTERM)


async def _send_counts(link: Link, app: App) -> None:
    """Send all that was counted, part by part: calls are served in between."""
    held: Snapshot | None = None
    number = 0
    for part in app.parts():
        if held is not None:
            await link.send(WorkerCounts(number, held, last=False))
            await asyncio.sleep(0)
            number += 1
        held = part
    await link.send(WorkerCounts(number, held or Snapshot(), last=True))


async def _send_last_counts(link: Link, app: App) -> None:
    """Send what was counted since the supervisor asked last."""
    with contextlib.suppress(LinkClosedError, TimeoutError):
        async with asyncio.timeout(_LAST_COUNTS_SECONDS):
            await _send_counts(link, app)


async def _answer_to(ask: Message, app: App) -> Message:
    match ask:
        case Found(content, problems):
            if content is not None:
                await app.take_policy(content)
            if problems:
                await app.take_policy(PolicyError(problems))
            return Done()
        case AdminView.CONDITION:
            status = app.status
            return Condition(status.circumstances(), status.policy_hash, status.requests)
        case AdminView.QUOTAS:
            return WorkerQuotas(tuple(app.status.known_quotas()))
        case Command.DRAIN:
            app.status.drain()
            return Done()
        case _:
            raise TypeError(f"a worker is not asked {type(ask).__name__}")


if __name__ == "__main__":
    raise SystemExit(main())
