"""The workers' processes: started, replaced when they end, and ended. None is left running."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from typing import Final

from sidecar.domain.errors import UserError
from sidecar.workers.conditions import Absence, WorkerPlace
from sidecar.workers.link import Link, LinkClosedError, Message, Orders, Up, WorkerFailed
from sidecar.workers.process import WorkerProcess
from sidecar.workers.spawn import end_process, start_process
from sidecar.workers.tally import Tally

log = logging.getLogger("sidecar.workers")

_START_SECONDS: Final = 30.0
_RESTART_SECONDS: Final = 0.5
_LONGEST_RESTART_SECONDS: Final = 15.0
_END_SECONDS: Final = 10.0
"""Beyond the drain: how long a worker may take to end before it is killed."""
_FAILED_SECONDS: Final = 2.0


class Fleet:
    """`size` workers. `serving` holds those that are up, by their index."""

    def __init__(
        self,
        size: int,
        orders: Callable[[int], Orders],
        on_up: Callable[[WorkerProcess, Orders], None],
    ) -> None:
        """Start workers with `orders`; `on_up` is called with each one as soon as it serves."""
        self._size = size
        self._orders = orders
        self._on_up = on_up
        self._absent: dict[int, Absence] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ends: dict[int, asyncio.Task[int]] = {}
        self._ending = False
        self.tally = Tally()
        self.serving: dict[int, WorkerProcess] = {}

    async def start(self) -> None:
        """Start every worker. Raises UserError where one cannot be started."""
        for index in range(self._size):
            await self._spawn(index)
        self._keepers = [
            asyncio.create_task(self._keep(index), name=f"keeper {index}")
            for index in range(self._size)
        ]

    async def stop(self, drain_seconds: float) -> None:
        """Have every worker end, wait for the drain, and kill what has not ended then."""
        self._ending = True
        for task in self._keepers:  # what they are starting ends with them
            task.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self.hurry()
        ends = tuple(self._ends.values())
        if ends:
            _, late = await asyncio.wait(ends, timeout=drain_seconds + _END_SECONDS)
            for worker in tuple(self.serving.values()) if late else ():
                _signal(worker.process, signal.SIGKILL)
            await asyncio.gather(*ends)

    def hurry(self) -> None:
        """Ask every worker to end; asked twice, they drain no longer. A stopped one is woken."""
        for worker in tuple(self.serving.values()):
            _signal(worker.process, signal.SIGTERM)
            _signal(worker.process, signal.SIGCONT)

    def places(self) -> list[WorkerPlace]:
        """Return how each worker is, as it is known now."""
        return [self._place(index) for index in range(self._size)]

    def pids(self) -> list[int]:
        """Return the process IDs of the workers that have not been waited for."""
        workers = self.serving.values()
        return [each.process.pid for each in workers if each.process.returncode is None]

    def _place(self, index: int) -> WorkerPlace:
        worker = self.serving.get(index)
        if worker is None:
            return WorkerPlace(
                index, absent=self._absent.get(index, Absence(time.time(), "it starts"))
            )
        silent = worker.silent_seconds
        since = time.time() - silent if silent else None
        return WorkerPlace(index, worker.condition, silent_since=since)

    async def _spawn(self, index: int) -> None:
        """Start a worker and wait until it serves. Raises UserError; then it has been ended."""
        ours, theirs = socket.socketpair()
        async with contextlib.AsyncExitStack() as unless_it_serves:
            unless_it_serves.callback(ours.close)
            with theirs:
                process = await self._started(index, theirs.fileno())
            unless_it_serves.push_async_callback(end_process, process)
            link = Link(*await asyncio.open_connection(sock=ours))
            unless_it_serves.callback(link.close)
            orders = await self._bring_up(index, process, link)
            unless_it_serves.pop_all()
        self._absent.pop(index, None)
        self.serving[index] = worker = WorkerProcess(index, process, link)
        self._ends[index] = asyncio.create_task(self._end_of(worker), name=f"end of worker {index}")
        self._on_up(worker, orders)

    async def _started(self, index: int, link: int) -> Process:
        try:
            return await start_process(
                sys.executable, "-P", "-m", "sidecar.workers.worker", str(link),
                pass_fds=(link,),
                # PYTHONPATH: the same code, in any working directory
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            )  # fmt: skip
        except OSError as error:
            why = f"--workers: worker {index} cannot be started: {error.strerror}"
            raise UserError(f"{why}: give room for {self._size}") from error

    async def _bring_up(self, index: int, process: Process, link: Link) -> Orders:
        """Give a worker its orders, and wait until it serves. Raises UserError."""
        orders = self._orders(index)
        answer: Message | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                await link.send(orders)
                answer = await link.receive()
        except (LinkClosedError, TimeoutError) as error:
            raise UserError(f"--workers: worker {index} did not start; its log says why") from error
        if isinstance(answer, Up):
            return orders
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAILED_SECONDS):
                await process.wait()
        raise UserError(answer.text if isinstance(answer, WorkerFailed) else "it did not start")

    async def _end_of(self, worker: WorkerProcess) -> int:
        """Wait for a worker's end, and keep what it had counted; return its exit status."""
        status = await worker.process.wait()
        await worker.receive_last_counts()
        del self.serving[worker.index]
        why = f"it ended with status {status} and is being replaced"
        self._absent[worker.index] = Absence(time.time(), why)
        files = self._orders(worker.index).settings.state.journal is not None
        self.tally.retire(worker.index, worker.counts, with_files=files)
        worker.close()
        return status

    async def _keep(self, index: int) -> None:
        """Replace the worker at `index` whenever it ends."""
        while True:
            status = await asyncio.shield(self._ends[index])
            if self._ending:
                return
            log.error("worker_died", extra={"worker": index, "exit_status": status})
            failures = 0
            while not await self._replace(index, failures):
                failures += 1
            await self.tally.replaced(index)

    async def _replace(self, index: int, failures: int) -> bool:
        """Start a worker in the place of one that ended; say whether there is one now."""
        await asyncio.sleep(_pause_after(failures))
        try:
            await self._spawn(index)
        except UserError as error:
            why = str(error)
            log.error("worker_not_started", extra={"worker": index, "why": why})  # noqa: TRY400 - reported, not a fault
        except Exception:
            why = "a fault; the log has it"
            log.exception("worker_not_started", extra={"worker": index, "why": why})
        else:
            return True
        self._absent[index] = Absence(self._absent_since(index), f"it cannot be replaced: {why}")
        return False

    def _absent_since(self, index: int) -> float:
        absence = self._absent.get(index)
        return time.time() if absence is None else absence.since


def _pause_after(failures: int) -> float:
    return min(_RESTART_SECONDS * 2.0**failures, _LONGEST_RESTART_SECONDS)


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
