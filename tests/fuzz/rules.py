"""What the policy reads: its own file, the path of a call, and what a call costs."""

from __future__ import annotations

import json
import posixpath
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

from sidecar.domain.choices import Action
from sidecar.policy.amounts import JsonAmount, Scale, UnreadableAmount
from sidecar.policy.compiled import Policy, Route
from sidecar.policy.json_pointer import JsonPointer
from sidecar.policy.load import find_problems, load_policy
from sidecar.policy.paths import UnsafePath, normalise
from sidecar.policy.problems import PolicyError, Severity

_POLICY: Final = b"""
version: 1
product: acme
identity: [{cookie: bb_at}]
routes:
  - {name: paid, match: {path: /paid/**}, meter: {}}
  - {name: rest, match: {path: /**}, action: allow}
unmatched: allow
"""
_CODINGS: Final = frozenset({b"gzip", b"deflate", b"zstd"})
_AMOUNT: Final = JsonAmount(JsonPointer.parse("/n"), Scale(default=1, maximum=16))


@lru_cache
def _policy() -> Policy:
    return load_policy(_POLICY, file="policy.yaml", environ={})


def _plain_readings(path: str) -> set[str]:
    """Return the paths that a product may take this one for, by plain means of Python's own."""
    once = unquote(path, encoding="latin-1")
    return {
        posixpath.normpath("/" + text.lstrip("/"))
        for text in (path, once, once.replace("\\", "/"), unquote(once, encoding="latin-1"))
    }


def path(data: bytes) -> None:
    """No path that a product could read as a metered one slips by as a free one."""
    text = "/" + data.decode("latin-1")
    normal = normalise(text)
    if isinstance(normal, str):
        assert normalise(normal) == normal
    route = _policy().route_for("POST", text, [])
    if isinstance(route, UnsafePath):
        assert route.detail
        return
    if route.action is Action.ALLOW:
        slipped = [each for each in _plain_readings(text) if each.startswith("/paid/")]
        assert slipped == []


def policy(data: bytes) -> None:
    """A file is loaded, or its problems are told, each with its place in the file."""
    problems = find_problems(data, file="policy.yaml", environ={})
    for problem in problems:
        assert str(problem).startswith("policy.yaml:")
    try:
        loaded = load_policy(data, file="policy.yaml", environ={})
    except PolicyError:
        assert problems
        return
    assert {problem.severity for problem in problems} <= {Severity.WARNING}
    assert isinstance(loaded.route_for("POST", "/api/v1/chat", []), Route | UnsafePath)


def amount(data: bytes) -> None:
    """A body costs a whole number within bounds, or cannot be read; what costs is JSON to Python.

    First line: its content coding, or its content-type.
    """
    kind, _, body = data.partition(b"\n")
    name = b"content-encoding" if kind in _CODINGS else b"content-type"
    read = _AMOUNT.read([(name, kind)] if kind else [], body)
    if isinstance(read, UnreadableAmount):
        assert read.detail
        assert read.status in {413, 415, 422}
        return
    assert type(read) is int
    assert 1 <= read <= 16
    if body and name == b"content-type":
        json.loads(body.decode(), parse_constant=_no_constant)


def _no_constant(name: str) -> object:
    raise AssertionError(f"{name} is not JSON")
