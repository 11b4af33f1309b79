"""The parent of the workers: one policy, one admin port and one sum of counts for all of them.

It serves no traffic itself. Workers share the port (SO_REUSEPORT): the kernel spreads connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sidecar import __version__
from sidecar.admin.readiness import Circumstances
from sidecar.admin.server import AdminServer
from sidecar.admin.state import AdminView, ReloadReport
from sidecar.app.draining import log_draining
from sidecar.app.process import run_service
from sidecar.domain.quota import Quota
from sidecar.domain.share import Share
from sidecar.http1.listening import bound, refusal
from sidecar.policy.problems import PolicyError
from sidecar.policy.store import PolicyStore
from sidecar.policy.view import as_dict
from sidecar.settings.run import Settings
from sidecar.settings.values import Address
from sidecar.telemetry.exposition import Exposition
from sidecar.telemetry.snapshot import Snapshot
from sidecar.workers.conditions import failure_of, workers_of, worst_of
from sidecar.workers.fleet import Fleet
from sidecar.workers.link import Command, Found, Orders
from sidecar.workers.process import WorkerProcess
from sidecar.workers.rounds import Rounds

log = logging.getLogger("sidecar.workers")

_DRAIN_QUESTION_SECONDS: Final = 0.5
"""How long a stop waits for the workers to say what they have under way."""


class Supervisor:
    """All workers as one: satisfies `AdminState` from what they reported last."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], content: bytes) -> None:
        """Begin with what the policy's file holds. Raises PolicyError.

        Each worker receives the content in force when it starts, and reads it for itself.
        """
        self._settings = settings
        self._policies = PolicyStore(settings.policy.file, content, environ, found=self._pass_on)
        self._fleet = Fleet(settings.process.workers, self._orders_for, self._serves)
        self._rounds = {
            AdminView.CONDITION: Rounds(self._ask_conditions),
            AdminView.QUOTAS: Rounds(lambda: self._ask_all(AdminView.QUOTAS)),
            AdminView.COUNTS: Rounds(lambda: self._ask_all(AdminView.COUNTS)),
        }
        self._orders_sent: set[asyncio.Task[None]] = set()
        self._watch: asyncio.Task[None] | None = None
        self._known: tuple[Circumstances, ...] = ()
        self._ending = False
        self.draining = False
        page = Exposition(self.parts, self._fleet.pids)
        self._admin = AdminServer(self, page, refresh=self.refresh)

    async def start(self) -> None:
        """Start every worker, then the admin port. Raises UserError where one cannot start."""
        try:
            with _reserved(self._settings) as port:
                listen = replace(self._settings.listen, port=port)
                self._settings = replace(self._settings, listen=listen)
                await self._fleet.start()
            self._watch = asyncio.create_task(self._policies.watch(), name="policy watch")
            await self._admin.open(self._settings.admin)
        except BaseException:
            await self._end()
            raise
        log.info(
            "started",
            extra={
                "listen": Address(listen.host, port).url,
                **self._admin.urls(),
                "workers": self._settings.process.workers,
                "version": __version__,
            },
        )

    async def stop(self) -> None:
        """Drain and end every worker; kill what does not end in time."""
        await self._end()
        log.info("stopped", extra={"workers": self._settings.process.workers})

    async def _end(self) -> None:
        self._ending = self.draining = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait((self._watch,))
        await self._log_draining()
        await self._fleet.stop(self._settings.process.drain_seconds)
        await asyncio.gather(*self._orders_sent, return_exceptions=True)
        await self._admin.close()

    def hurry(self) -> None:
        """Pass a second request to end on: the workers then drain no longer."""
        self._fleet.hurry()

    async def refresh(self, view: AdminView) -> None:
        """Ask every worker, all at once; who asks meanwhile shares the next round."""
        await self._rounds[view].join()

    def parts(self) -> Iterator[Snapshot]:
        """Return what the workers have counted, the ones that are gone included."""
        return self._fleet.tally.parts(each.counts for each in self._fleet.serving.values())

    # AdminState

    def failure(self) -> str:
        """Say why only a restart helps: no worker has served for a minute. No worker is awaited."""
        if self.draining:
            return ""
        self._rounds[
            AdminView.CONDITION
        ].begin()  # the next probe then knows of workers that are stuck
        return failure_of(self._fleet.places(), time.time())

    def circumstances(self) -> Circumstances:
        """Return the worst that any worker reports, and how the workers themselves are."""
        places = self._fleet.places()
        known = tuple(each.condition.circumstances for each in places if each.condition is not None)
        self._known = known or self._known  # in a drain the last worker may have ended
        worst = worst_of(self._known)
        return replace(
            worst,
            draining=self.draining or worst.draining,
            policy_problem=self._policies.last_error or worst.policy_problem,
            workers=workers_of(places, draining=self.draining),
        )

    def policy_view(self) -> Mapping[str, object]:
        """Return what is in force: every worker was given it."""
        return as_dict(self._policies.current)

    def known_quotas(self) -> Iterable[tuple[str, Quota]]:
        """Return the latest that any worker knows: within a period, use only grows."""
        latest: dict[tuple[str, str], Quota] = {}
        for worker in self._fleet.serving.values():
            for org_id, quota in worker.quotas:
                before = latest.get((org_id, quota.resource))
                if before is None or (quota.reset_at, quota.used) > (before.reset_at, before.used):
                    latest[org_id, quota.resource] = quota
        return [(org_id, quota) for (org_id, _), quota in latest.items()]

    async def reload(self) -> ReloadReport:
        """Read the file again; every worker receives what was found."""
        outcome = await self._policies.reload()
        report = ReloadReport(outcome.value, self._policies.problems)
        await asyncio.gather(*self._orders_sent)
        return report

    def begin_reload(self) -> None:
        """Reload, without waiting for how it ends."""
        self._policies.reload_soon()

    def drain(self) -> None:
        """Have every worker refuse new requests; one that is stuck does so when it goes on."""
        self.draining = True
        self._order(Command.DRAIN)

    # inside

    async def _log_draining(self) -> None:
        """Log how many requests all workers have under way; one that is stuck is not waited for."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_QUESTION_SECONDS):
                await self._ask_all(AdminView.CONDITION)
        known = (worker.condition for worker in self._fleet.serving.values())
        requests = sum(each.requests for each in known if each is not None)
        log_draining(requests, self._settings.process.drain_seconds)

    async def _ask_all(self, view: AdminView) -> None:
        await asyncio.gather(*(each.ask(view) for each in self._fleet.serving.values()))

    async def _ask_conditions(self) -> None:
        """Ask every worker how it is; one with another policy is given it again.

        Not one that is stuck: what it is sent would pile up until it goes on.
        """
        await self._ask_all(AdminView.CONDITION)
        in_force = self._policies.current.hash
        for worker in self._fleet.serving.values():
            if worker.condition is None or worker.silent_seconds:
                continue
            if worker.condition.policy_hash != in_force:
                self._order(Found(self._policies.content), worker)

    def _pass_on(self, found: bytes | PolicyError) -> None:
        if isinstance(found, PolicyError):
            self._order(Found(None, found.problems))
        else:
            self._order(Found(found))

    def _order(self, order: Command | Found, *workers: WorkerProcess) -> None:
        if self._ending:
            return
        for worker in workers or tuple(self._fleet.serving.values()):
            task = asyncio.ensure_future(worker.order(order))
            self._orders_sent.add(task)
            task.add_done_callback(self._orders_sent.discard)

    def _orders_for(self, index: int) -> Orders:
        share = Share(index, self._settings.process.workers)
        settings = replace(self._settings, process=replace(self._settings.process, workers=1))
        return Orders(settings, share, self._policies.content)

    def _serves(self, worker: WorkerProcess, orders: Orders) -> None:
        """Give a worker what has changed while it started."""
        error = self._policies.error
        content = self._policies.content
        changed = None if content is orders.policy else content
        if changed is not None or error is not None:  # or wrong since before it started
            self._order(Found(changed, () if error is None else error.problems), worker)
        if self.draining:
            self._order(Command.DRAIN, worker)


@contextlib.contextmanager
def _reserved(settings: Settings) -> Iterator[int]:
    """Hold the shared port, without listening on it, until the workers do. UserError if taken."""
    host, port = settings.listen.host, settings.listen.port
    try:
        held = bound(host, port, reuse_port=True)
    except OSError as error:
        raise refusal(error, host, port, host_flag="--host", port_flag="--port") from error
    with held:
        yield int(held.getsockname()[1])


def run_workers(settings: Settings, environ: Mapping[str, str]) -> int:
    """Run as many workers as the settings say; return the exit status. Raises UserError."""
    return run_service(settings, environ, lambda _, content: Supervisor(settings, environ, content))
