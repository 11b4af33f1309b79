"""What the doctor finds: one line each, with its level and the fix. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sidecar.app.startup_warnings import SHARED_IDS
from sidecar.client import (
    CredentialRefusedError,
    ForbiddenError,
    NotFoundError,
    PlatformError,
    SigningKey,
    UnreadableAnswerError,
)
from sidecar.commands.drift import Drift
from sidecar.settings.values import Network

LEEWAY_SECONDS = 60.0
"""What tokens' times are given (see docs/identity.md): a clock that is off by more breaks them."""

_SUSPICIOUS_SECONDS = 5.0

_SHORTEST_PREFIX = {4: 8, 6: 7}
"""Prefixes shorter than those of the largest private networks, 10.0.0.0/8 and fc00::/7."""

_NOT_DONE_HERE = frozenset({405, 501, 505})
"""Statuses of a server that knows nothing of the call: hardly the platform."""


class Level(StrEnum):
    """How bad it is. OK is only what was looked at."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One line: what was looked at, how it is, and what to do."""

    check: str
    level: Level
    text: str
    hint: str = ""


def ok(check: str, text: str) -> Diagnosis:
    """Make a line that needs nothing done."""
    return Diagnosis(check, Level.OK, text)


def not_checked(check: str, why: str, hint: str = "") -> Diagnosis:
    """Make a line for what could not be looked at; the hint says what that takes."""
    return Diagnosis(check, Level.NOT_CHECKED, why, hint)


def warning(check: str, text: str, hint: str) -> Diagnosis:
    """Make a line that a person should look at."""
    return Diagnosis(check, Level.WARNING, text, hint)


def failure(check: str, text: str, hint: str) -> Diagnosis:
    """Make a line that has to be fixed."""
    return Diagnosis(check, Level.FAILURE, text, hint)


def worst(findings: Iterable[Diagnosis]) -> Level:
    """Return the worst level there is; what was not checked is no fault."""
    levels = {finding.level for finding in findings}
    for level in (Level.FAILURE, Level.WARNING):
        if level in levels:
            return level
    return Level.OK


def of_clock(platform: float | None, before: float, after: float) -> Diagnosis:
    """Compare the platform's Date with this machine's times around the call. Unix seconds.

    A Date has whole seconds, so less than two of them are no difference.
    """
    if platform is None:
        return warning("clocks", "the auth host sends no Date", "compare the clocks by hand")
    late, early = before - (platform + 1.0), platform - after
    off = max(0.0, late, early)
    text = f"this machine is {off:.0f} s {'ahead' if late > early else 'behind'}"
    if off > LEEWAY_SECONDS:
        hint = "set the clock (NTP): tokens are judged expired or not yet valid"
        return failure("clocks", text, hint)
    if off > _SUSPICIOUS_SECONDS:
        return warning(
            "clocks", text, f"set the clock (NTP): at {LEEWAY_SECONDS:.0f} s tokens fail"
        )
    return ok("clocks", "agree")


def of_keys(keys: Sequence[SigningKey]) -> Diagnosis:
    """Judge the key set."""
    good = [key for key in keys if (key.kty, key.use, key.alg) == ("RSA", "sig", "RS256")]
    if not good:
        hint = "ask the platform: a key needs kty RSA, use sig and alg RS256 to verify a token"
        return failure("key set", f"{_number_of(keys)}, none for RS256", hint)
    return ok("key set", f"{_number_of(good)} for RS256")


def of_drift(drifts: Sequence[Drift]) -> list[Diagnosis]:
    """Name each field that the live OpenAPI lacks."""
    if not drifts:
        return [ok("openapi", "has every field that is used")]
    return [
        warning(
            "openapi",
            str(drift),
            "its form is not in the published contract: check what the command shows",
        )
        if drift.ours
        else failure("openapi", str(drift), "update bb-sidecar, or ask the platform")
        for drift in drifts
    ]


def hint_of(error: PlatformError) -> str:
    """Say what to do about a call that brought no answer to judge."""
    if isinstance(error, UnreadableAnswerError | NotFoundError) or error.status in _NOT_DONE_HERE:
        return "check that the URL is the platform's, and that no other server answers in its place"
    if error.status is not None:
        return "the platform fails: try again later, or report it to the platform"
    return "check the URL, DNS, and the network policy from here"


def of_internal_key(error: PlatformError | None, stranger: PlatformError | None) -> Diagnosis:
    """Judge the answer to a test of a webhook that cannot be: 404 says that the key is good.

    `stranger` is the answer to the same with a key that is none. Where the two are alike no one
    looked at the key: any web server that is not the platform answers 404.
    """
    if isinstance(error, CredentialRefusedError):
        return failure(
            "bbas_ key", "refused", "take the product's bbas_ key of this platform, not a bbk_ one"
        )
    if error is not None and not isinstance(error, NotFoundError) and not _was_judged(error):
        return failure("bbas_ key", str(error), hint_of(error))
    if _status_of(stranger) == _status_of(error):
        hint = "check that the URL is the platform's API: PLATFORM_API_URL, or --platform-url"
        return failure("bbas_ key", "a made-up key gets the same answer", hint)
    return ok("bbas_ key", "accepted")


def of_product(
    error: PlatformError | None, stranger: PlatformError | None, product: str
) -> Diagnosis:
    """Judge the answer to a consume for an org that cannot be, in the policy's product's name.

    `stranger` is the answer to the same for a product that cannot be: where the two are alike the
    platform did not look at the product.
    """
    if isinstance(error, ForbiddenError):
        hint = "fix `product` in the policy (or --product), or take that product's key"
        return failure("product", f"the key is not of {product!r}: {error.detail}", hint)
    if error is None:
        hint = "compare the key's product with the policy by hand"
        return warning("product", "the platform answers for an org that does not exist", hint)
    if not isinstance(error, NotFoundError) and not _was_judged(error):
        return not_checked("product", str(error), "fix what is above, then run doctor again")
    if isinstance(stranger, ForbiddenError):
        return ok("product", f"the key is of {product!r}")
    hint = "compare the key's product with the policy by hand"
    return not_checked("product", "the platform gives every product the same answer", hint)


def of_networks(networks: Sequence[Network], *, shared_ids: bool) -> list[Diagnosis]:
    """Judge --trusted-proxies: what comes through them cannot be seen from here."""
    if not networks:
        hint = "behind an ingress that ends TLS, name its addresses in --trusted-proxies"
        text = "none: the product gets X-Forwarded-Proto: http, whatever a proxy says"
        return [not_checked("trusted proxies", text, hint)]
    found = []
    for wide in (each for each in networks if each.prefixlen < _SHORTEST_PREFIX[each.version]):
        hint = "name the addresses of your ingress alone: a client can choose its request ID there"
        found.append(failure("trusted proxies", f"{wide} holds clients too", hint))
    if not shared_ids:
        found.append(warning("trusted proxies", SHARED_IDS.about, SHARED_IDS.hint))
    named = ", ".join(map(str, networks))
    hint = "see that each sets X-Request-ID itself: a client's own, passed on, can make calls free"
    return [*found, not_checked("trusted proxies", f"the proxies in {named}", hint)]


def _number_of(keys: Sequence[SigningKey]) -> str:
    return f"{len(keys)} {'key' if len(keys) == 1 else 'keys'}"


def _status_of(error: PlatformError | None) -> int | None:
    """Return the status that a call ended with; 200 for one that was answered, None for none."""
    return 200 if error is None else error.status


def _was_judged(error: PlatformError) -> bool:
    """Say whether the platform took the key and disliked something else."""
    return error.status in {400, 403, 409, 422}
