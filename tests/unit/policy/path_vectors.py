"""Paths, and what a small policy decides on each: the same on every Python.

Run as a script, it prints the decisions as JSON and needs nothing but the standard library, so
that it runs on any interpreter: `PYTHONPATH=. python3.11 tests/unit/policy/path_vectors.py`.
"""

from __future__ import annotations

import json
import sys
import types
from typing import TYPE_CHECKING, Any, Final

if __name__ == "__main__":
    # A bare interpreter has no typing_extensions: all that is needed of it is one decorator.
    _stand_in: Any = types.ModuleType("typing_extensions")
    _stand_in.override = lambda method: method
    sys.modules.setdefault("typing_extensions", _stand_in)

if TYPE_CHECKING:
    from sidecar.policy.routing import Router

REFUSED: Final = "400"

ROUTES: Final = (
    ("free", "/free/**", "free"),
    ("paid", "/paid", "metered"),
    ("list", "/models/list", "free"),
    ("model", "/models/*", "metered"),
    ("cheap", "/cheap", "metered"),
    ("admin", "/admin/**", "denied"),
    ("dear", "/dear/**", "metered"),
    ("spaced", "/a b", "metered"),
    ("kind", "/kiss", "metered"),
    ("rest", "/**", "free"),
)

DECISIONS: Final = {
    # A parameter that is empty: Fastify 4.
    "/models/": REFUSED,
    "/models/;x/y/z": REFUSED,
    "/models/;x/y": "model",
    "/models": "rest",
    # Their normal form.
    "/": "rest",
    "/free/x": "free",
    "/paid": "paid",
    "/models/list": "list",
    "/models/gpt": "model",
    "/models/GPT-4": "model",
    "/admin": "admin",
    "/else": "rest",
    # A trailing slash or dot, repeated slashes, dot segments, parameters, case, needless escapes.
    "/paid/": "paid",
    "/paid//": "paid",
    "/admin/": "admin",
    "/models/gpt/": "model",
    "/paid.": "paid",
    "/paid%20.%20": "paid",
    "//paid": "paid",
    "/free/../paid": "paid",
    "/free/%2e%2e/paid": "paid",
    "/free/..;/paid": "paid",
    "/free/..;x/paid": "paid",
    "/%70aid": "paid",
    "/paid;x": "paid",
    "/PAID": "paid",
    "/free/../admin/x": "admin",
    "/Else/AbC/": "rest",
    "/a%20b": "spaced",
    # A reading that leads to a stricter route, or to one that charges otherwise.
    "/paid%2f": REFUSED,
    "/paid%2F..%2Fpaid": REFUSED,
    "/free%2f..%2fpaid": REFUSED,
    "/paid\\": REFUSED,
    "/paid%5c": REFUSED,
    "/free\\..\\paid": REFUSED,
    "/paid%00": REFUSED,
    "/paid%00.png": REFUSED,
    "/paid%2500.png": REFUSED,
    "/paid%0a": REFUSED,
    "/pa%09id": REFUSED,
    "/paid%7f": REFUSED,
    "/paid%c2%a0": REFUSED,
    "/paid%e2%80%a8": REFUSED,
    "/paid%3fx": REFUSED,
    "/paid%23x": REFUSED,
    "/paid%253fx": REFUSED,
    "/free/%252e%252e/paid": REFUSED,
    "/free%252fpaid": "rest",
    "/paid%252f": REFUSED,
    "/models/LIST": REFUSED,
    "/models/%6cist": REFUSED,
    "/models/list;x": REFUSED,
    "/models/list.": REFUSED,
    "/dear/../cheap": REFUSED,
    "/dear/../free/x": REFUSED,
    "/admin/../paid": REFUSED,
    "/admin/../free/x": REFUSED,
    "/dear;/../free/x": REFUSED,
    "/a+b": REFUSED,
    # A cut at the first semicolon: Fastify, restify.
    "/paid;/x": REFUSED,
    "/paid;a/b/c": REFUSED,
    "/admin;/../free": REFUSED,
    "/paid%3b/x": REFUSED,
    "/free;x/paid": "free",
    # A network-path reference: CherryPy, Node's `new URL`.
    "//host/paid": REFUSED,
    "//host:80/admin/x": REFUSED,
    "///host/paid": REFUSED,
    "/\\host/paid": REFUSED,
    "//host/x": "rest",
    "//free/paid": REFUSED,
    # Escapes that are not UTF-8: dropped (Bottle), read as Latin-1, overlong.
    "/pa%ffid": REFUSED,
    "/%e2%82paid": REFUSED,
    "/pa%fcid": REFUSED,
    "/paid%c0%af": REFUSED,
    "/free/%c0%ae%c0%ae/paid": REFUSED,
    "/free%e0%80%afx/..%f0%80%80%af../paid": REFUSED,
    "/else%ff": "rest",
    # Compatibility characters and letters of unusual case.
    "/%ef%bd%90aid": "paid",
    "/free%ef%bc%8f..%ef%bc%8fpaid": REFUSED,
    "/%E2%84%AAiss": "kind",
    "/k%C4%B1%C5%BFs": "kind",
    "/K%C4%B0SS": "kind",
    # Free in every reading: passes.
    "/free/a%2Fb": "free",
    "/free/a%5Cb": "free",
    "/free/a;b/c": "free",
    "/free/https%3A%2F%2Fexample.com%2Fa%20b%3Fc%3D1%26d%23e": "free",
    "/free/caf%E9": "free",
    "/free/a%00b%0a": "free",
    "/free//x": "free",
    "/else%2Fx": "rest",
    # Metered alike in every reading that is metered: charged.
    "/models/meta-llama%2FLlama-3": "model",
    "/dear/a%2Fb/..%2Fc": "dear",
    "/dear/a%2F..%2F..%2Fcheap": REFUSED,
    "/dear/x/a%2F..%2Fb": "dear",
    # The server as a whole (`OPTIONS *`): decided as `/`, unless `/*` is stricter.
    "*": "rest",
    # Refused for what no list of readings bounds.
    "": REFUSED,
    "paid": REFUSED,
    "/paid?": REFUSED,
    "/paid#": REFUSED,
    "/free/a b": REFUSED,
    "/free/\x00": REFUSED,
    "/free/%": REFUSED,
    "/free/%zz": REFUSED,
    "/free/%u0070": REFUSED,
    "/free/...": REFUSED,
    "/free/%20/x": REFUSED,
    "/free/.%20/x": REFUSED,
    "/free" + "/a" * 256: REFUSED,
}


def shop() -> Router:
    """Return the router of `ROUTES`; each metered route charges in a way of its own."""
    from sidecar.policy.effects import Effect, Rank  # noqa: PLC0415  after the stand-in
    from sidecar.policy.patterns import parse_pattern  # noqa: PLC0415
    from sidecar.policy.routing import Match, Router  # noqa: PLC0415

    return Router(
        [Match(parse_pattern(path), None, ()) for _, path, _ in ROUTES],
        [*(Effect(Rank(rank), name) for name, _, rank in ROUTES), Effect(Rank.FREE)],
        case_sensitive=False,
    )


def decisions() -> dict[str, str]:
    """Return the name of the route of each path, or `REFUSED`."""
    router = shop()
    found = {}
    for path in DECISIONS:
        number = router.find("POST", path, ())
        found[path] = ROUTES[number][0] if isinstance(number, int) else REFUSED
    return found


if __name__ == "__main__":
    json.dump([list(sys.version_info[:3]), decisions()], sys.stdout)
