"""The condition of a sidecar of several workers, from that of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.admin.readiness import Check, Circumstances
from sidecar.domain.instants import utc_text
from sidecar.domain.seen import worst_seen
from sidecar.workers.link import Condition

PATIENCE_SECONDS: Final = 60.0
"""How long there may be no worker that serves before the whole sidecar counts as failed."""


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a worker does not serve: since when (Unix seconds), and what is known of the cause."""

    since: float
    why: str


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """One worker's place: `absent` while there is none, `silent_since` while it is stuck.

    `condition` is what it reported last; None where it has not been asked yet.
    """

    index: int
    condition: Condition | None = None
    absent: Absence | None = None
    silent_since: float | None = None


UNKNOWN: Final = Circumstances(
    draining=False,
    policy_problem="",
    platform_problem="",
    journal_problem="",
    keys=0,
    keys_problem="no worker has reported yet",
    keys_needed=False,
    modes=frozenset(),
)
"""Before any worker has answered: nothing is known to be wrong."""


def workers_of(places: Sequence[WorkerPlace], *, draining: bool) -> Check:
    """Judge the workers. In a drain the end of one is nothing to report."""
    absent = [place for place in places if place.absent is not None]
    silent = [place for place in places if place.absent is None and place.silent_since is not None]
    problems = [
        *(
            f"worker {place.index} is gone since {utc_text(place.absent.since)}: {place.absent.why}"
            for place in absent
            if place.absent is not None and not draining
        ),
        *(
            f"worker {place.index} has not answered since {utc_text(place.silent_since)}: "
            "calls that it takes wait"
            for place in silent
            if place.silent_since is not None
        ),
    ]
    serving = len(places) - len(absent) - len(silent)
    # The kernel gives a stuck worker its share of the calls; one that is gone gets none.
    ok = draining or (not silent and serving > 0)
    return Check(
        ok, f"{serving} of {len(places)} serve" + "".join(f"; {each}" for each in problems)
    )


def failure_of(places: Sequence[WorkerPlace], now: float) -> str:
    """Say why only a restart helps: no worker has served for long. Empty while that is not so."""
    since = [each.absent.since if each.absent else each.silent_since for each in places]
    moments = [moment for moment in since if moment is not None]
    if len(moments) < len(places) or now - max(moments) < PATIENCE_SECONDS:
        return ""
    return f"no worker serves since {utc_text(max(moments))}"


def worst_of(known: Sequence[Circumstances]) -> Circumstances:
    """Return the worst that any worker reports of each dependency."""
    if not known:
        return UNKNOWN
    worst = min(known, key=lambda each: each.keys)
    return replace(
        worst,
        draining=any(each.draining for each in known),
        policy_problem=_first(each.policy_problem for each in known),
        platform_problem=_first(each.platform_problem for each in known),
        platform_probe_due=all(each.platform_probe_due for each in known if each.platform_problem),
        platform_seen=worst_seen(each.platform_seen for each in known),
        tokens_seen=worst_seen(each.tokens_seen for each in known),
        upstream_seen=worst_seen(each.upstream_seen for each in known),
        journal_problem=_first(each.journal_problem for each in known),
        journal_damaged_bytes=sum(each.journal_damaged_bytes for each in known),
        redis_problem=_first(each.redis_problem or "" for each in known) or worst.redis_problem,
    )


def _first(problems: Iterable[str]) -> str:
    return next((each for each in problems if each), "")
