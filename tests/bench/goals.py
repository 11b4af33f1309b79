"""What is to be reached, as data, and what was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tests.bench.peers import COMPILED

_OURS: Final = "sidecar"

Figures = Mapping[str, Mapping[str, float]]
"""What was measured: a name of a figure, and the figure of each peer."""


@dataclass(frozen=True, slots=True)
class Goal:
    """One row: our figure, over another system's where there is one, and a bound for each build.

    A build without a bound is shown and not judged.
    """

    name: str
    figure: str
    ours: str
    other: str | None
    pure: float | None
    compiled: float | None
    at_least: bool = True

    def row(self, figures: Figures) -> tuple[str, ...] | None:
        """Return the row of the report; None where neither build was measured."""
        values = figures.get(self.figure, {})
        found = [self._reached(values, build) for build in ("", COMPILED)]
        if found == [None, None]:
            return None
        cells = [self.name]
        for reached, bound in zip(found, (self.pure, self.compiled), strict=True):
            sign = "≥" if self.at_least else "≤"
            cells += [
                "none" if bound is None else f"{sign} {bound:g}",
                "" if reached is None else f"{reached:.2f}",
                self._judged(reached, bound),
            ]
        return tuple(cells)

    def _reached(self, values: Mapping[str, float], build: str) -> float | None:
        ours, beside = values.get(f"{_OURS}_{self.ours}{build}"), 1.0
        if self.other is not None:  # another way of ours is of the same build
            own = self.other.startswith(_OURS)
            beside = values.get(f"{self.other}{build}" if own else self.other, 0.0)
        return ours / beside if ours is not None and beside > 0 else None

    def _judged(self, reached: float | None, bound: float | None) -> str:
        if reached is None or bound is None:
            return ""
        met = reached >= bound if self.at_least else reached <= bound
        return "met" if met else "**missed**"


HEAD: Final = ("goal", "pure", "reached", "", "compiled", "reached", "")

GOALS: Final = (
    Goal("exact, platform over TLS / Envoy + ext_authz over TLS, requests/s",
         "tls", "exact_tls", "envoy_authz_default_tls", 1.2, 1.6),
    Goal("exact / Envoy + ext_authz with its default fields, requests/s",
         "tls", "exact", "envoy_authz_default", 1.3, 1.9),
    Goal("exact / Envoy + ext_authz with the cookie, requests/s",
         "tls", "exact", "envoy_authz", None, None),
    Goal("exact, 100 orgs, distinct calls / Envoy + ext_authz with its default fields, requests/s",
         "distinct", "exact", "envoy_authz_default", None, None),
    Goal("lease / Envoy plain, requests/s", "plain", "lease", "envoy", 1.1, 1.5),
    Goal("unmetered / Envoy plain, requests/s", "plain", "unmetered", "envoy", 1.3, 1.9),
    Goal("unmetered / HAProxy plain, requests/s", "plain", "unmetered", "haproxy", None, 0.75),
    Goal("denied / Envoy + ext_authz denying", "denied", "exact", "envoy_authz", 2.5, 3.5),
    Goal("SSE events/s, 500 streams, as many as pass / Envoy plain",
         "poured_500", "unmetered", "envoy", 1.0, 1.0),
    Goal("p50 added at one connection, platform over TLS / Envoy + ext_authz over TLS",
         "added_tls", "exact_tls", "envoy_authz_default_tls", 0.8, 0.8, at_least=False),
    Goal("settled calls/s, large prompts, half streams / LiteLLM with budgets",
         "large", "priced", "litellm_budgets", 50, 50),
    Goal("settled call, nothing owed / exact, requests/s (1.25 times the time)",
         "settled", "settled", "sidecar_exact", 0.8, 0.8),
    Goal("settled call, as much owed as deposited / exact, requests/s (1.6 times the time)",
         "settled", "owed", "sidecar_exact", 0.625, 0.625),
    Goal("event of a settled stream / of an exact one, 500 streams at a steady pace, CPU time",
         "event_500", "settled_stream", "sidecar_exact_stream", 1.15, 1.15, at_least=False),
    Goal("event of a settled stream / of an exact one, 16 streams at a steady pace, CPU time",
         "event_16", "settled_stream", "sidecar_exact_stream", 1.15, 1.15, at_least=False),
    Goal("KiB an idle settled stream", "idle", "settled_stream", None, 10, 10, at_least=False),
    Goal("p99 at half load, platform over TLS / Envoy + ext_authz over TLS",
         "half_tls", "exact_tls", "envoy_authz_default_tls", 1.0, 1.0, at_least=False),
    Goal("p99 at half load, platform in clear text / Envoy + ext_authz",
         "half", "exact", "envoy_authz", 1.0, 1.0, at_least=False),
    Goal("KiB an idle stream", "idle", "unmetered", None, 10, 10, at_least=False),
    Goal("idle stream / Envoy", "idle", "unmetered", "envoy", 0.3, 0.3, at_least=False),
    Goal("10 MB bodies down / Envoy plain", "down", "unmetered", "envoy", 0.9, 0.9),
    Goal("10 MB bodies up / Envoy plain", "up", "unmetered", "envoy", 0.9, 0.9),
    Goal("start to ready on one core, ms", "start_1", "exact", None, 400, 400, at_least=False),
    Goal("start to ready on two cores, ms", "start_2", "exact", None, 400, 400, at_least=False),
    Goal("base RSS, MiB", "resident", "exact", None, 65, 65, at_least=False),
    Goal("forward auth / the proxy's exact, decisions/s",
         "doors", "forward_auth", "sidecar_exact", 1.5, 1.5),
    Goal("p50 added at one connection, platform in clear text, ms",
         "added", "exact", None, 1.0, 1.0, at_least=False),
    Goal("exact / aiohttp proxy, requests/s", "throughput", "exact", "aiohttp", 5, 5),
    Goal("exact / aiohttp proxy that caches tokens, requests/s",
         "throughput", "exact", "aiohttp_cached", 5, 5),
    Goal("SSE events/s, 16 streams, as many as pass / Envoy plain",
         "poured_16", "unmetered", "envoy", 1.0, 1.0),
    Goal("SSE at a steady pace, events per core second / Envoy plain",
         "paced_16", "unmetered", "envoy", 1.0, 1.0),
)  # fmt: skip
"""Those of the current milestone first, then older ones that must stay met."""
