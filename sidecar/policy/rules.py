"""What must hold between the fields of a policy, checked on whatever parts of it are well formed.

Works on plain values, so that a mistake of shape in one place hides none of these elsewhere.
Only what is certain is reported: a part that cannot be understood is passed over here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.domain.cors import EVERY_ORIGIN
from sidecar.policy.compiled import UNMATCHED
from sidecar.policy.matcher import PathIndex
from sidecar.policy.patterns import parse_pattern
from sidecar.policy.routing import Match
from sidecar.policy.source import Document, Where
from sidecar.policy.usage_rules import check_largest, check_usage

PLATFORM_COOKIE = "bb_session"
"""The platform's own cookie: never read (contract, The access token)."""

ACCESS_TOKEN = "bb_at"  # noqa: S105  a cookie's name


def check_rules(document: Document, environ: Mapping[str, str] | None) -> None:
    """Add a problem for each rule that is broken.

    `environ` None: the secrets that the file names are not looked for.
    """
    policy = document.value
    if not isinstance(policy, dict):
        return
    _check_identity(document, policy, environ)
    _check_charging(document, ("defaults",), policy.get("defaults"))
    _check_cors(document, policy.get("cors"))
    routes = list(_mappings(policy.get("routes")))
    for number, route in routes:
        _check_route(document, ("routes", number), route)
    _check_names(document, routes)
    _check_reach(document, routes, case_sensitive=policy.get("case_sensitive") is True)


def _mappings(values: object) -> Iterator[tuple[int, dict[str, object]]]:
    if isinstance(values, list):
        for number, value in enumerate(values):
            if isinstance(value, dict):
                yield number, value


def _check_identity(
    document: Document, policy: dict[str, object], environ: Mapping[str, str] | None
) -> None:
    seen: dict[tuple[str, str], int] = {}
    for number, entry in _mappings(policy.get("identity")):
        where: Where = ("identity", number)
        cookie = entry.get("cookie")
        if ("cookie" in entry) == ("bearer" in entry):
            document.problem(where, "an identity has one of `cookie` and `bearer: true`")
        elif "bearer" in entry or isinstance(cookie, str):
            source = ("cookie", cookie) if isinstance(cookie, str) else ("bearer", "")
            if (first := seen.setdefault(source, number)) != number:
                line = document.line(("identity", first))
                document.problem(where, f"the same source is on line {line} already")
        if cookie == PLATFORM_COOKIE:
            document.problem(
                (*where, "cookie"), f"`{PLATFORM_COOKIE}` is the platform's own: never read it"
            )
        if "secret_env" in entry:
            _check_secret(document, where, entry, environ)


def _check_secret(
    document: Document,
    where: Where,
    entry: dict[str, object],
    environ: Mapping[str, str] | None,
) -> None:
    at = (*where, "secret_env")
    name = entry["secret_env"]
    if "bearer" in entry:
        document.problem(at, "`secret_env` goes with `cookie` only", key=True)
    elif entry.get("cookie") == ACCESS_TOKEN:
        document.problem(
            at, f"`{ACCESS_TOKEN}` is signed with the platform's keys, no secret", key=True
        )
    if environ is not None and isinstance(name, str) and not environ.get(name):
        document.problem(at, f"environment variable {name} is not set: it must hold the secret")


def _check_cors(document: Document, cors: object) -> None:
    """Refuse `*` with credentials: any page could read answers to its visitor's cookies."""
    if not isinstance(cors, dict) or cors.get("credentials") is not True:
        return
    origins = cors.get("origins")
    if isinstance(origins, list) and EVERY_ORIGIN in origins:
        document.problem(
            ("cors", "origins", origins.index(EVERY_ORIGIN)),
            "`*` with `credentials: true` would let every page of the web read answers to its "
            "visitor's cookies: name the origins",
        )


def _check_route(document: Document, where: Where, route: dict[str, object]) -> None:
    if ("meter" in route) == ("action" in route):
        verb = "has both" if "meter" in route else "needs one of"
        document.problem(where, f"a route {verb} `meter` and `action`: give exactly one")
    elif "meter" in route and "errors" in route:
        document.problem(
            (*where, "errors"), "`errors` of a metered route belongs under `meter`", key=True
        )
    if route.get("name") == UNMATCHED:
        document.problem(
            (*where, "name"), f"`{UNMATCHED}` is reserved for calls that match no route"
        )
    _check_charging(document, (*where, "meter"), route.get("meter"))


def _check_charging(document: Document, where: Where, charging: object) -> None:
    if not isinstance(charging, dict):
        return
    check_usage(document, where, charging)
    if not isinstance(charging.get("amount"), dict):
        return
    where = (*where, "amount")
    _check_amount(document, where, charging["amount"])
    if isinstance(times := charging["amount"].get("times"), dict):
        _check_amount(document, (*where, "times"), times)


def _check_amount(document: Document, where: Where, amount: dict[str, object]) -> None:
    if amount.get("count") is True and "map" in amount:
        document.problem(
            (*where, "map"), "`map` prices a name, and `count` counts: take one of them", key=True
        )
    largest, weights = amount.get("max"), amount.get("map")
    check_largest(document, where, largest, {"default": amount.get("default")})
    if isinstance(weights, dict):
        check_largest(document, (*where, "map"), largest, weights)


def _check_names(document: Document, routes: list[tuple[int, dict[str, object]]]) -> None:
    seen: dict[str, int] = {}
    for number, route in routes:
        name = route.get("name")
        if not isinstance(name, str):
            continue
        if name in seen:
            line = document.line(("routes", seen[name], "name"))
            document.problem(
                ("routes", number, "name"), f"duplicate route name `{name}`, first on line {line}"
            )
        else:
            seen[name] = number


def _check_reach(
    document: Document,
    routes: list[tuple[int, dict[str, object]]],
    *,
    case_sensitive: bool,
) -> None:
    """Report each route whose every call falls to an earlier one."""
    known = [(number, route, match) for number, route in routes if (match := _match_of(route))]
    index = PathIndex(
        match.pattern.segments if case_sensitive else match.pattern.folded()
        for _, _, match in known
    )
    for place, (number, _, match) in enumerate(known):
        for earlier in index.find(match.pattern.symbol(case_sensitive=case_sensitive)):
            if earlier >= place:
                break
            other_number, other, other_match = known[earlier]
            if other_match.covers(match):
                line = document.line(("routes", other_number))
                document.problem(
                    ("routes", number),
                    f"unreachable: `{other.get('name')}` on line {line} matches all its calls; "
                    "put the narrower route first",
                )
                break


def _match_of(route: dict[str, object]) -> Match | None:
    match = route.get("match")
    if not isinstance(match, dict) or not isinstance(match.get("path"), str):
        return None
    methods = match.get("methods")
    headers = match.get("headers", {})
    well_formed = (
        methods is None or (isinstance(methods, list) and all(isinstance(m, str) for m in methods))
    ) and (isinstance(headers, dict) and all(isinstance(v, str) for v in headers.values()))
    if not well_formed:
        return None
    try:
        return match_of(match["path"], methods, headers)
    except ValueError:
        return None


def match_of(path: str, methods: list[str] | None, headers: Mapping[str, str] | None) -> Match:
    """Return what a route's `match` asks of a call. Raises ValueError where it cannot be."""
    return Match(
        pattern=parse_pattern(path),
        methods=None if methods is None else frozenset(methods),
        headers=tuple(
            (name.lower().encode("ascii"), value.encode("latin-1"))
            for name, value in (headers or {}).items()
        ),
    )
