"""An engine in the process of a product: its parts, without a port of its own."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.admission.engine import Engine
from sidecar.app.background import own_task
from sidecar.app.context import Context
from sidecar.app.engine import open_engine
from sidecar.app.gauges import publish_gauges
from sidecar.app.memory_limit import body_memory
from sidecar.domain.ports import Clock
from sidecar.domain.share import ALONE
from sidecar.policy.compiled import Policy
from sidecar.policy.doors import DoorKind, refuse_at
from sidecar.policy.file import read_policy_file
from sidecar.policy.store import PolicyStore
from sidecar.proxy.body_memory import BodyMemory
from sidecar.settings.embedded import EmbeddedSettings
from sidecar.telemetry.build import build_labels
from sidecar.telemetry.foreign_log import guard_our_log
from sidecar.telemetry.observer import Observer

log = logging.getLogger("sidecar.app")


@dataclass(frozen=True, slots=True)
class EmbeddedParts:
    """What a door is made of. `owned` ends it all."""

    engine: Engine
    policies: PolicyStore
    observer: Observer
    memory: BodyMemory
    clock: Clock
    owned: contextlib.AsyncExitStack


async def open_embedded(
    door: DoorKind, settings: EmbeddedSettings, environ: Mapping[str, str], clock: Clock = time
) -> EmbeddedParts:
    """Start an engine on the running event loop. Raises UserError for what a user can fix."""
    async with contextlib.AsyncExitStack() as owned:
        observer = Observer(build=build_labels(environ), orgs=settings.hosted.metrics_orgs)
        context = Context(
            settings=settings,
            clock=clock,
            observer=observer,
            redactor=guard_our_log(),
            share=ALONE,
            worker=False,
            owned=owned,
            embedded=True,
        )
        context.hide_given()
        path = settings.policy.file

        def before_use(policy: Policy) -> None:
            refuse_at(door, policy, str(path))
            context.hide_of_policy(policy)

        policies = PolicyStore(
            path, read_policy_file(path), environ, observer, before_use=before_use
        )
        if policies.current.notices:
            hint = "run the sidecar for them, or take `notices` out of the policy"
            log.warning("notices_off", extra={"hint": hint})
        parts = await open_engine(context, policies)
        publish_gauges(context, policies, parts)
        parts.keys.start()
        own_task(owned, policies.watch(), "policy watch")
        log.info(
            "embedded_started",
            extra={
                "platform": settings.platform.api.url,
                "proxy": parts.proxy,
                "product": settings.policy.product or policies.current.product,
                "policy_hash": policies.current.hash,
            },
        )
        memory = BodyMemory(body_memory(settings.hosted.body_memory, ALONE))
        return EmbeddedParts(parts.engine, policies, observer, memory, clock, owned.pop_all())
    raise AssertionError("the stack suppresses nothing")
