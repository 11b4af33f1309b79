"""The parent of the workers: starts them, replaces one that dies, answers the admin port for all.

It serves no traffic itself. Workers share the port (SO_REUSEPORT): the kernel spreads connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

import uvloop

from sidecar import __version__
from sidecar.admin.readiness import Circumstances
from sidecar.admin.server import AdminServer
from sidecar.admin.state import ReloadReport
from sidecar.errors import UserError
from sidecar.model import Quota, Share
from sidecar.policy.compiled import Policy
from sidecar.policy.problems import PolicyError
from sidecar.policy.reading import FirstReading, own_path, own_python, read_apart
from sidecar.policy.store import PolicyStore, ReloadOutcome
from sidecar.policy.view import as_dict
from sidecar.serving import unless
from sidecar.settings import Settings
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.logs import setup_logging
from sidecar.telemetry.snapshot import Snapshot, merge
from sidecar.workers.link import (
    Ask,
    Failed,
    Found,
    Link,
    LinkClosedError,
    Look,
    Message,
    Orders,
    Up,
)
from sidecar.workers.process import WorkerProcess

log = logging.getLogger("sidecar.workers")

_START_SECONDS: Final = 30.0
_RESTART_SECONDS: Final = 0.5
_END_SECONDS: Final = 10.0
"""Beyond the drain: how long a worker may take to end before it is killed."""


class Supervisor:
    """All workers as one: satisfies `AdminState` from what they told last."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], policy: Policy) -> None:
        """Begin with a policy: each worker is given the one in force when it starts."""
        self._settings = settings
        read = read_apart(str(settings.policy), environ)
        self._policies = PolicyStore(settings.policy, policy, read, found=self._pass_on)
        _look_for_left_journals(settings)
        self._workers: dict[int, WorkerProcess] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._reloads: set[asyncio.Task[ReloadReport]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._gone: list[Snapshot] = []
        self._ending = False
        self.draining = False

    async def start(self) -> int:
        """Start every worker; return the port they share. Raises UserError where one cannot."""
        with _reserved(self._settings) as port:
            listen = replace(self._settings.listen, port=port)
            self._settings = replace(self._settings, listen=listen)
            try:
                for index in range(self._settings.workers):
                    await self._spawn(index)
            except BaseException:
                await self.stop()
                raise
        self._keepers = [
            asyncio.create_task(self._keep(index), name=f"keeper {index}")
            for index in range(self._settings.workers)
        ]
        self._watch = asyncio.create_task(self._policies.watch(), name="policy watch")
        return port

    async def stop(self) -> None:
        """Tell every worker to end, wait for the drain, and kill what has not ended then."""
        self._ending = True
        readings = [*self._reloads, *([] if self._watch is None else [self._watch])]
        for task in (*readings, *self._keepers):  # keepers first: what they start ends with them
            task.cancel()
        await asyncio.gather(*readings, *self._keepers, return_exceptions=True)
        for worker in self._workers.values():
            _signal(worker.process, signal.SIGTERM)
        patience = self._settings.drain_seconds + _END_SECONDS
        ends = [asyncio.ensure_future(each.process.wait()) for each in self._workers.values()]
        if ends:
            _, late = await asyncio.wait(ends, timeout=patience)
            for worker in self._workers.values():
                if late:
                    _signal(worker.process, signal.SIGKILL)
            await asyncio.gather(*ends)
        await asyncio.gather(*self._telling, return_exceptions=True)
        for worker in self._workers.values():
            worker.close()

    def hurry(self) -> None:
        """Pass a second request to end on: the workers then drain no longer."""
        for worker in self._workers.values():
            _signal(worker.process, signal.SIGTERM)

    async def refresh(self) -> None:
        """Ask every worker how it is, all at once; one with another policy is told it again."""
        await asyncio.gather(*(worker.look() for worker in self._workers.values()))
        current = self._policies.current
        for worker in self._workers.values():
            if worker.last is not None and worker.last.policy_hash != current.hash:
                self._tell(Found(current), worker)

    def snapshot(self) -> Snapshot:
        """Merge what the workers counted; what one that died had counted stays counted."""
        return merge([*self._gone, *(look.snapshot for look in self._looks())])

    # AdminState

    def circumstances(self) -> Circumstances:
        """Tell the worst that any worker tells; one that does not answer is not ready."""
        looks = self._looks()
        if not looks:
            return _SILENT
        told = [look.circumstances for look in looks]
        silent = self._settings.workers - len(looks)
        worst = min(told, key=lambda each: each.keys)
        return replace(
            worst,
            draining=self.draining or any(each.draining for each in told),
            policy_problem=self._policies.last_error
            or next((each.policy_problem for each in told if each.policy_problem), ""),
            platform_problem=next(
                (each.platform_problem for each in told if each.platform_problem),
                f"{silent} workers do not answer" if silent else "",
            ),
            platform_probe_due=not silent
            and all(each.platform_probe_due for each in told if each.platform_problem),
            journal_problem=next(
                (each.journal_problem for each in told if each.journal_problem), ""
            ),
            redis_problem=next(
                (each.redis_problem for each in told if each.redis_problem), worst.redis_problem
            ),
        )

    def policy_view(self) -> Mapping[str, object]:
        """Tell what is in force: every worker was given it."""
        return as_dict(self._policies.current)

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        """Tell the latest that any worker knows: within a period, use only grows."""
        latest: dict[tuple[str, str], Quota] = {}
        for look in self._looks():
            for org_id, quota in look.quotas:
                before = latest.get((org_id, quota.resource))
                if before is None or (quota.reset_at, quota.used) > (before.reset_at, before.used):
                    latest[org_id, quota.resource] = quota
        return [(org_id, quota) for (org_id, _), quota in latest.items()]

    async def reload(self) -> ReloadReport:
        """Read the file again; every worker is told what was found."""
        outcome = await self._policies.reload()
        await asyncio.gather(*self._telling)
        rejected = outcome is ReloadOutcome.REJECTED
        return ReloadReport(outcome.value, rejected, self._policies.problems)

    def begin_reload(self) -> None:
        """Reload, without waiting for how it ends."""
        task = asyncio.ensure_future(self.reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def drain(self) -> None:
        """Have every worker refuse new requests."""
        self.draining = True
        self._tell(Ask.DRAIN)

    # inside

    def _looks(self) -> list[Look]:
        return [worker.last for worker in self._workers.values() if worker.last is not None]

    def _pass_on(self, found: Policy | PolicyError) -> None:
        if isinstance(found, PolicyError):
            self._tell(Found(None, found.problems))
        else:
            self._tell(Found(found))

    def _tell(self, ask: Ask | Found, *workers: WorkerProcess) -> None:
        """Tell these workers, or all."""
        if self._ending:
            return
        for worker in workers or tuple(self._workers.values()):
            task = asyncio.ensure_future(worker.tell(ask))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    def _orders(self, index: int) -> Orders:
        share = Share(index, self._settings.workers)
        return Orders(_of_worker(self._settings, index), share, self._policies.current)

    async def _spawn(self, index: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *own_python("sidecar.workers.worker"), str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    env={**os.environ, "PYTHONPATH": own_path()},
                    start_new_session=True,  # a terminal's Ctrl-C reaches the parent alone
                )  # fmt: skip
            except OSError as error:
                ours.close()
                why = f"--workers: worker {index} cannot be started: {error.strerror}"
                raise UserError(f"{why}: give room for {self._settings.workers}") from error
        link = Link(*await asyncio.open_connection(sock=ours))
        orders = self._orders(index)
        answer: Message | None = None
        try:
            async with asyncio.timeout(_START_SECONDS):
                await link.send(orders)
                answer = await link.receive()
        except (LinkClosedError, TimeoutError) as error:
            raise UserError(f"--workers: worker {index} did not start; its log says why") from error
        finally:
            if not isinstance(answer, Up):
                link.close()
                if answer is None:
                    _signal(process, signal.SIGKILL)
                await process.wait()
        if not isinstance(answer, Up):
            raise UserError(answer.text if isinstance(answer, Failed) else "it did not start")
        worker = WorkerProcess(index, process, link)
        self._workers[index] = worker
        error_now = self._policies.error
        changed = None if self._policies.current is orders.policy else self._policies.current
        if changed is not None or error_now is not None:  # or wrong since before it started
            problems = () if error_now is None else error_now.problems
            self._tell(Found(changed, problems), worker)
        if self.draining:
            self._tell(Ask.DRAIN, worker)

    async def _keep(self, index: int) -> None:
        """Replace the worker at `index` whenever it dies."""
        while True:
            worker = self._workers[index]
            status = await worker.process.wait()
            if self._ending:
                return
            log.error("worker_died", extra={"worker": index, "exit_status": status})
            if worker.last is not None:
                self._gone.append(_counted(worker.last.snapshot))
                self._gone = [merge(self._gone)]
                worker.last = None
            worker.close()
            while not await self._replace(index):
                pass

    async def _replace(self, index: int) -> bool:
        """Start a worker in the place of one that died; say whether there is one now."""
        await asyncio.sleep(_RESTART_SECONDS)
        try:
            await self._spawn(index)
        except UserError as error:
            log.error("worker_not_started", extra={"worker": index, "why": str(error)})  # noqa: TRY400 - told, not a fault
        except Exception:
            log.exception("worker_not_started", extra={"worker": index, "why": "a fault"})
        else:
            return True
        return False


_SILENT: Final = Circumstances(
    draining=False,
    policy_problem="",
    platform_problem="",
    journal_problem="",
    keys=0,
    keys_problem="no worker answers",
    keys_needed=True,
    modes=frozenset(),
)


def _counted(snapshot: Snapshot) -> Snapshot:
    """Keep of a dead worker what is counted, not what it held."""
    return Snapshot(
        {name: series for name, series in snapshot.values.items() if name.endswith("_total")},
        snapshot.histograms,
    )


def _of_worker(settings: Settings, index: int) -> Settings:
    """Give a worker a journal of its own; the first has the file that was named."""
    journal: Path | None = settings.journal
    if journal is not None and index:
        journal = journal.with_name(f"{journal.name}.{index}")
    return replace(settings, journal=journal, workers=1)


def _look_for_left_journals(settings: Settings) -> None:
    """Say loudly which journals of an earlier, larger number of workers nobody reports now."""
    journal = settings.journal
    if journal is None:
        return
    for path in sorted(journal.parent.glob(f"{journal.name}.*")):
        index = path.name.removeprefix(f"{journal.name}.")
        if index.isdecimal() and int(index) >= settings.workers and path.stat().st_size:
            mend = f"start once with --workers {int(index) + 1}, so that it is reported"
            log.error("journal_left_behind", extra={"journal": str(path), "mend": mend})


@contextlib.contextmanager
def _reserved(settings: Settings) -> Iterator[int]:
    """Hold the shared port, without listening on it, until the workers do. UserError if taken."""
    listen = settings.listen
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind((listen.host, listen.port))
        except OSError as error:
            raise UserError(
                f"--port: {listen} cannot be listened on: {error.strerror}:"
                " give a free address of this machine"
            ) from error
        yield int(held.getsockname()[1])


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def supervise(settings: Settings, environ: Mapping[str, str], first: FirstReading) -> int:
    """Run the workers until SIGTERM or SIGINT; return the exit status. Raises UserError."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    up: list[Supervisor] = []

    def asked() -> None:
        if stop.is_set():
            for supervisor in up:
                supervisor.hurry()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    policy = await unless(stop, first.policy())
    if policy is None:
        return 0
    supervisor = Supervisor(settings, environ, policy)
    loop.add_signal_handler(signal.SIGHUP, supervisor.begin_reload)
    port = await unless(stop, supervisor.start())
    if port is None:
        await supervisor.stop()
        return 0
    up.append(supervisor)
    listen = settings.listen.host
    admin = AdminServer(supervisor, Exposition(supervisor.snapshot), refresh=supervisor.refresh)
    try:
        await admin.start(settings.admin.host, settings.admin.port)
        host, admin_port = admin.address
        log.info(
            "started",
            extra={
                "listen": f"http://{'127.0.0.1' if listen == '0.0.0.0' else listen}:{port}",
                "admin": f"http://{host}:{admin_port}",
                "workers": settings.workers,
                "version": __version__,
            },
        )
        await stop.wait()
    finally:
        await supervisor.stop()
        await admin.close()
    log.info("stopped", extra={"workers": settings.workers})
    return 0


def run_workers(settings: Settings, environ: Mapping[str, str], first: FirstReading) -> int:
    """Run `settings.workers` workers; return the exit status. Raises UserError."""
    setup_logging(settings.log_level.value, settings.log_format.value)
    return uvloop.run(supervise(settings, environ, first))
