"""How a policy finds the route of a call: what `bb-sidecar explain` shows of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.domain.model import Headers
from sidecar.policy.compiled import Policy, UnsafePath
from sidecar.policy.overrides import asked_methods
from sidecar.policy.paths import Segments
from sidecar.policy.routing import Match


@dataclass(frozen=True, slots=True)
class TriedRoute:
    """One route that was tried, and why it matches or does not."""

    route: str
    matches: bool
    why: str


@dataclass(frozen=True, slots=True)
class Detour:
    """Another reading of a call that leads to another route."""

    call: str
    route: str


def steps_of(policy: Policy, method: str, path: str, headers: Headers) -> tuple[TriedRoute, ...]:
    """Return the routes in order, up to the one that matches; none for an unsafe path."""
    read = policy.router.read(path)
    if isinstance(read, UnsafePath):
        return ()
    steps: list[TriedRoute] = []
    for route, match in zip(policy.routes, policy.router.matches, strict=True):
        why_not = _mismatch(policy, match, method, read.canonical, headers)
        steps.append(TriedRoute(route.name, not why_not, why_not or _agreement(match)))
        if not why_not:
            return tuple(steps)
    return (*steps, TriedRoute(policy.unmatched.name, matches=True, why="no route matches"))


def detours_of(
    policy: Policy, method: str, path: str, headers: Headers, query: str
) -> tuple[Detour, ...]:
    """Return the other readings of path and method that lead to other routes."""
    router = policy.router
    names = [*(route.name for route in policy.routes), policy.unmatched.name]
    found: dict[Detour, None] = {}
    read = router.read(path)
    if not isinstance(read, UnsafePath):
        here = router.choose(method, read.canonical, headers, exact=router.case_sensitive)
        for other in read.others:
            number = router.choose(method, other.segments, headers, exact=other.exact)
            if number != here:
                found[Detour("/" + "/".join(other.segments), names[number])] = None
    here_as = router.find_as(method, path, headers)
    for asked in sorted(asked_methods(headers, query)):
        there = router.find_as(asked, path, headers)
        if not isinstance(there, UnsafePath) and there != here_as:
            found[Detour(f"{asked} {path}", names[there])] = None
    return tuple(found)


def _mismatch(
    policy: Policy, match: Match, method: str, segments: Segments, headers: Headers
) -> str:
    if not policy.router.path_matches(match, segments):
        return f"the path does not match {match.pattern.text}"
    if not match.takes_method(method):
        return f"the method is not one of {', '.join(sorted(match.methods or ()))}"
    if (missing := match.missing(headers)) is not None:
        name, value = missing
        return f"no header {name.decode('ascii')} with the value {value.decode('latin-1')!r}"
    return ""


def _agreement(match: Match) -> str:
    parts = [f"the path matches {match.pattern.text}"]
    if match.methods is not None:
        parts.append("the method is listed")
    if match.headers:
        parts.append("the headers are there")
    return ", ".join(parts)
