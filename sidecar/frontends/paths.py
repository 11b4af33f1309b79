"""Which path decides, where a server has decoded it and may have set a prefix before it."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from sidecar.domain.choices import Action
from sidecar.domain.model import Call
from sidecar.policy.compiled import Policy, UnsafePath

_SAFE: Final = "/!$&'()*+,;=:@-._~"
_PLAIN: Final = re.compile(r"[A-Za-z0-9/!$&'()*+,;=:@\-._~]*")


def raw_path(decoded: str) -> str:
    """Write a decoded path as a request target, so that nothing in it is decoded twice."""
    if _PLAIN.fullmatch(decoded):
        return decoded
    return quote(decoded.encode("utf-8", "surrogatepass"), safe=_SAFE)


def paths_of(path: str, root_path: str) -> tuple[str, ...]:
    """Return the paths, decoded, by which a framework may route.

    Starlette and Quart strip `root_path` from the start, Litestar cuts behind it wherever it
    stands, and a proxy may have stripped it before.
    """
    if not root_path.strip("/") or root_path not in path:
        return (path,)
    rest = path.split(root_path, maxsplit=1)[-1]
    return (rest if rest.startswith("/") else f"/{rest}", path)


def strictest(policy: Policy, calls: list[Call]) -> Call:
    """Return the call that falls to the strictest route; of several meters, to the first one."""
    return calls[0] if len(calls) == 1 else max(calls, key=lambda call: _strictness(policy, call))


def _strictness(policy: Policy, call: Call) -> tuple[int, int]:
    number = policy.router.find(call.method, call.path, call.headers, call.query)
    if isinstance(number, UnsafePath):
        return 3, 0
    route = policy.table[number]
    if route is policy.unmatched:
        return 0, 0
    if route.meter is not None:
        return 2, -number
    return (3 if route.action is Action.DENY else 1), 0
