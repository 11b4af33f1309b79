"""Whether this instance should get traffic: a pure function of what its dependencies are like.

The rule (contract, "What a container on the platform must do"; interface, Admin): unready is what
cannot answer every metered route. A platform that is down does not make it so by itself, because
routes that fail open or go by what was last known still answer; a `fail_closed` route does not.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.choices import OnPlatformError
from sidecar.domain.seen import UNASKED, Seen


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency: `ok` is false where it keeps traffic away; `detail` is for a person."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The state of each dependency at one moment; an empty problem text means all is well.

    `modes` holds what the metered routes of the policy in force do on platform errors, empty
    where nothing is metered. `keys_needed` is whether a metered call can only be identified with
    the platform's keys: no source of the product's own. `platform_probe_due`: the next call would
    find out whether the platform is back; only calls do, so traffic must be let in for it.
    The `…_seen` are what calls have shown so far; none of them keeps traffic away.
    `redis_problem` is None where no state is shared, `workers` in a sidecar of one process: not ok
    where calls reach a worker that is stuck, or there is none.
    """

    draining: bool
    policy_problem: str
    platform_problem: str
    journal_problem: str
    keys: int
    keys_problem: str
    keys_needed: bool
    modes: frozenset[OnPlatformError]
    platform_probe_due: bool = False
    platform_seen: Seen = UNASKED
    tokens_seen: Seen = UNASKED
    upstream_seen: Seen = UNASKED
    redis_problem: str | None = None
    journal_damaged_bytes: int = 0
    workers: Check | None = None


def assess(now: Circumstances) -> dict[str, Check]:
    """Judge each dependency, by itself and for the routes that need it; ready where all are ok."""
    checks = {
        "drain": _drain(now),
        "policy": _policy(now),
        "keys": _keys(now),
        "platform": _platform(now),
        "journal": _journal(now),
        "tokens": _seen(now.tokens_seen, "accepted", "none seen yet"),
        "upstream": _seen(now.upstream_seen, "answers", "not yet asked"),
    }
    if now.redis_problem is not None:
        checks["redis"] = _redis(now.redis_problem)
    if now.workers is not None:
        checks["workers"] = now.workers
    return checks


def _drain(now: Circumstances) -> Check:
    if now.draining:
        return Check(ok=False, detail="shutting down: requests under way finish, new ones do not")
    return Check(ok=True, detail="serving")


def _policy(now: Circumstances) -> Check:
    """Judge the last reload: a rejected file changes nothing, so it does not stop the traffic."""
    if now.policy_problem:
        return Check(
            ok=True, detail=f"the last good policy stays in force; rejected: {now.policy_problem}"
        )
    return Check(ok=True, detail="in force")


def _keys(now: Circumstances) -> Check:
    """Judge the key set: the last good one serves; without a first one no caller is identified.

    Waiting for the first one keeps a rollout from replacing instances that have keys by some that
    refuse every caller. Unmetered routes work meanwhile, for callers of this instance.
    """
    if now.keys > 0:
        trusted = f"{now.keys} trusted"
        stale = f"; the last fetch failed: {now.keys_problem}" if now.keys_problem else ""
        return Check(ok=True, detail=trusted + stale)
    why = now.keys_problem or "not fetched yet"
    if now.modes and now.keys_needed:
        return Check(ok=False, detail=f"none yet, metered calls get 503: {why}")
    return Check(ok=True, detail=f"none yet: {why}")


def _platform(now: Circumstances) -> Check:
    if not now.platform_problem:
        return _seen(now.platform_seen, "answers", "not yet asked")
    why = "; ".join(filter(None, (now.platform_problem, now.platform_seen.problem)))
    if now.platform_probe_due:
        return Check(ok=True, detail=f"the next call asks it again: {why}")
    if OnPlatformError.FAIL_CLOSED in now.modes:
        return Check(ok=False, detail=f"down, and a fail_closed route cannot answer: {why}")
    return Check(ok=True, detail=f"down, the policy decides alone: {why}")


def _seen(seen: Seen, well: str, unasked: str) -> Check:
    """Report what calls have shown; it keeps no traffic away, which alone shows a recovery."""
    return Check(ok=True, detail=seen.problem or (well if seen.asked else unasked))


def _journal(now: Circumstances) -> Check:
    """Judge the journal: what it cannot remember cannot fail open, which matters while down."""
    damaged = f"; {now.journal_damaged_bytes} bytes were damaged" * bool(now.journal_damaged_bytes)
    if not now.journal_problem:
        return Check(ok=True, detail=f"writable{damaged}")
    alone = bool(now.platform_problem) and not now.platform_probe_due
    needed = alone and bool(now.modes - {OnPlatformError.FAIL_CLOSED})
    detail = f"cannot be written, no call can fail open: {now.journal_problem}"
    return Check(ok=not needed, detail=detail + damaged)


def _redis(problem: str) -> Check:
    """Judge what replicas share: without it each counts for itself, and every call is answered."""
    if problem:
        alone = "attempts of trusted request IDs, or holds, are known in this process alone"
        return Check(ok=True, detail=f"{alone}: {problem}")
    return Check(
        ok=True, detail="attempts of trusted request IDs and holds are shared by all replicas"
    )
