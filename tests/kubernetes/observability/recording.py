"""The scene played once before a real Prometheus and Alertmanager, and all that they say of it."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from tests.e2e.harness import eventually
from tests.kubernetes.observability.expressions import (
    PanelQuery,
    documented_queries,
    panel_queries,
    rule_files,
    rules,
    shortened,
    shortened_rules,
)
from tests.kubernetes.observability.scene import Scene, scene
from tests.kubernetes.observability.servers import (
    Prometheus,
    Receiver,
    alertmanager,
    prometheus,
    receiver,
)

STEP: Final = 0.5
"""Seconds between two points of what is asked over time."""

Series = list[tuple[dict[str, str], list[tuple[float, float]]]]


@dataclass(frozen=True, slots=True)
class Recording:
    """What came of it. Times in Unix seconds; series hold numbers only.

    `documents` holds each query that the documents ask the reader to run, and what Prometheus says
    against it, "" for nothing; `page` is the last /metrics of a pod.
    """

    start: float
    end: float
    panels: dict[PanelQuery, Series]
    records: dict[str, Series]
    fired: dict[tuple[str, str], Series]
    documents: dict[str, str]
    delivered: Sequence[dict[str, Any]]
    targets: Sequence[dict[str, Any]]
    page: str


def record() -> Recording:
    """Play the scene, and ask everything that dashboards and rules ask."""
    return uvloop.run(_record())


async def _record() -> Recording:
    async with contextlib.AsyncExitStack() as owned:
        folder = Path(owned.enter_context(tempfile.TemporaryDirectory(prefix="bb-prometheus-")))
        played = await owned.enter_async_context(scene())
        webhook = await owned.enter_async_context(receiver())
        alerts = await owned.enter_async_context(alertmanager(folder, webhook.url))
        short = [shortened_rules(path, folder) for path in rule_files()]
        asked = await owned.enter_async_context(prometheus(folder, played.pods, short, [alerts]))
        return await _watch(played, asked, webhook)


async def _watch(played: Scene, asked: Prometheus, webhook: Receiver) -> Recording:
    await played.prepare()
    await _scraped(asked, len(played.pods))
    start = time.time()
    await played.play()
    end = time.time()

    async def over(expr: str) -> Series:
        found = await asked.over(expr, start, end, STEP)
        return [(labels, points) for labels, points in found if points]

    return Recording(
        start,
        end,
        {query: await over(shortened(query.expr)) for query in panel_queries()},
        {rule["record"]: await over(rule["record"]) for rule in rules() if "record" in rule},
        {
            (rule["alert"], rule["labels"]["severity"]): await over(
                f'ALERTS{{alertname="{rule["alert"]}",alertstate="firing",'
                f'severity="{rule["labels"]["severity"]}"}}'
            )
            for rule in rules()
            if "alert" in rule
        },
        {expr: await _fault_of(asked, shortened(expr), end) for expr in documented_queries()},
        webhook.alerts,
        (await asked.ask("targets"))["activeTargets"],
        (await played.running.metrics()).text,
    )


async def _fault_of(asked: Prometheus, expr: str, when: float) -> str:
    try:
        await asked.at(expr, when)
    except AssertionError as error:
        return str(error)
    return ""


async def _scraped(asked: Prometheus, pods: int) -> None:
    """Wait until every pod was scraped once."""
    await eventually(
        lambda: asked.at("up == 1", time.time()), lambda found: len(found) == pods, seconds=20.0
    )
