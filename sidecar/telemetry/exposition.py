"""A snapshot in the formats that Prometheus reads, with the processes' own figures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.utils import floatToGoString

from sidecar.telemetry.catalogue import METRICS, PREFIX, Kind, Metric
from sidecar.telemetry.process_figures import ProcessFigures
from sidecar.telemetry.series import Labels
from sidecar.telemetry.slices import in_slices
from sidecar.telemetry.snapshot import Snapshot, merge_in_slices

_OPENMETRICS: Final = "application/openmetrics-text"
_ESCAPED: Final = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Exposition:
    """The page behind /metrics. Its registry is its own: nothing global is read or written."""

    def __init__(
        self,
        parts: Callable[[], Iterable[Snapshot]],
        workers: Callable[[], Iterable[int]] | None = None,
    ) -> None:
        """Expose what `parts` gives at each scrape, and the figures of the `workers`' processes."""
        self._parts = parts
        self._turn = asyncio.Lock()
        self._at_work: dict[bool, asyncio.Task[tuple[bytes, str]]] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(ProcessFigures(workers))
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    async def render(self, accept: str) -> tuple[bytes, str]:
        """Return the page and its content type: OpenMetrics where `accept` names it, else text.

        Scrapes that meet share one page, and pages are written one after another: each page at work
        would add a slice to every turn of the event loop.
        """
        strict = _OPENMETRICS in accept
        page = self._at_work.get(strict)
        if page is None:
            page = self._at_work[strict] = asyncio.create_task(self._in_turn(strict=strict))
        return await asyncio.shield(page)  # other scrapes wait for it too

    async def _in_turn(self, *, strict: bool) -> tuple[bytes, str]:
        try:
            async with self._turn:
                return await self._write(strict=strict)
        finally:
            del self._at_work[strict]

    async def _write(self, *, strict: bool) -> tuple[bytes, str]:
        snapshot = await merge_in_slices(self._parts())
        page = bytearray()  # a list of lines would be joined, encoded and freed at once
        await in_slices(_writing(page, _lines(snapshot, strict=strict)))
        if strict:
            rest: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]  # the library has no types there
            content_type = openmetrics.CONTENT_TYPE_LATEST
        else:
            rest, content_type = generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4
        page += rest
        return bytes(page), content_type


def _writing(page: bytearray, lines: Iterator[str]) -> Iterator[None]:
    for line in lines:
        page += line.encode()
        yield


def _lines(snapshot: Snapshot, *, strict: bool) -> Iterator[str]:
    """Give the page line by line. `strict` is OpenMetrics, in which a counter's name is shorter."""
    for metric in METRICS:
        name = PREFIX + metric.name
        kind = "gauge" if metric.kind.gauge else metric.kind.value
        family = name.removesuffix("_total") if strict else name
        yield f"# HELP {family} {metric.help}\n# TYPE {family} {kind}\n"
        if metric.kind is Kind.HISTOGRAM:
            yield from _histogram_lines(metric, name, snapshot)
            continue
        for labels, value in snapshot.values.get(metric.name, {}).items():
            yield f"{name}{_braced(_pairs(metric, labels))} {_number(value)}\n"


def _histogram_lines(metric: Metric, name: str, snapshot: Snapshot) -> Iterator[str]:
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    for labels, buckets in snapshot.histograms.get(metric.name, {}).items():
        pairs = _pairs(metric, labels)
        count = 0
        for bound, count in zip(bounds, accumulate(buckets.counts), strict=True):
            written = _braced(sorted([*pairs, f'le="{bound}"']))
            yield f"{name}_bucket{written} {_number(count)}\n"
        written = _braced(pairs)
        yield f"{name}_count{written} {_number(count)}\n"
        yield f"{name}_sum{written} {_number(buckets.nanoseconds / 1e9)}\n"


def _pairs(metric: Metric, labels: Labels) -> list[str]:
    pairs = zip(metric.labels, labels, strict=True)
    return sorted(f'{name}="{value.translate(_ESCAPED)}"' for name, value in pairs)


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]  # no types there
    return text


def _braced(pairs: list[str]) -> str:
    return f"{{{','.join(pairs)}}}" if pairs else ""
