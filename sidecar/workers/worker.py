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

import uvloop

from sidecar.app import App
from sidecar.errors import UserError
from sidecar.policy.compiled import Policy
from sidecar.policy.problems import PolicyError
from sidecar.serving import run_until_asked, spare_what_stays
from sidecar.telemetry.logs import setup_logging
from sidecar.workers.link import (
    Ask,
    Done,
    Failed,
    Found,
    Link,
    LinkClosedError,
    Look,
    Message,
    Orders,
    Up,
)

log = logging.getLogger("sidecar.workers")


def main() -> int:
    """Serve until told to end; return the exit status."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its supervisor's to act on
    pair = socket.socket(fileno=int(sys.argv[1]))
    pair.set_inheritable(False)
    return uvloop.run(_work(pair))


async def _work(pair: socket.socket) -> int:
    link = Link(*await asyncio.open_connection(sock=pair))
    orders = await link.receive()
    if not isinstance(orders, Orders):
        raise TypeError("a worker is told its orders first")
    settings = orders.settings
    redactor = setup_logging(settings.log_level.value, settings.log_format.value)

    async def given() -> Policy:
        return orders.policy

    app = App(settings, os.environ, redactor, first=given, worker=True, share=orders.share)
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
            await link.send(Failed(str(error)))
        return 2
    finally:
        if answering is not None:
            answering.cancel()
        link.close()


async def _answer(link: Link, app: App) -> None:
    """Do what the supervisor asks, until it is gone; then end as if told to."""
    try:
        while True:
            ask = await link.receive()
            answer: Message = Done()
            try:
                answer = _answer_to(ask, app)
            except Exception:
                log.exception("worker_fault", extra={"asked": type(ask).__name__})
            await link.send(answer)
    except LinkClosedError:
        os.kill(os.getpid(), signal.SIGTERM)


def _answer_to(ask: Message, app: App) -> Message:
    match ask:
        case Found(policy, problems):
            if policy is not None:
                app.adopt(policy)
            if problems:
                app.adopt(PolicyError(problems))
            return Done()
        case Ask.LOOK:
            status = app.status
            return Look(
                app.snapshot(),
                status.circumstances(),
                status.policy_hash,
                tuple(status.known_quotas()),
            )
        case Ask.DRAIN:
            app.status.drain()
            return Done()
        case _:
            raise TypeError(f"a worker is not asked {type(ask).__name__}")


if __name__ == "__main__":
    raise SystemExit(main())
