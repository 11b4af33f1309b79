"""The port as the engine sees it: headers in, an identity or a failure out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import pytest

from sidecar.domain.credentials import BearerSource, CookieSource, IdentityFailure, IdentitySource
from sidecar.domain.model import Headers, Identity
from sidecar.domain.ports import Identities
from sidecar.identity import tokens, verifier
from sidecar.identity.jws import Jws
from sidecar.identity.keys import TrustedKey
from sidecar.identity.keyset import KeySet, Pace
from sidecar.identity.verifier import Verifier
from tests.fakes.clock import TurnedClock
from tests.loops import turn
from tests.unit.identity.auth_host import AuthHost, pool_for
from tests.unit.identity.heard import Heard
from tests.unit.identity.mint import (
    ISSUER,
    NOW,
    SECRET,
    coded,
    compact,
    mint,
    mint_session,
    signing_key,
)

ONE, TWO = signing_key("one"), signing_key("two")
BB_AT = CookieSource("bb_at")
BEARER = BearerSource()
SESSION = CookieSource("acme-notes_session", SECRET)
SOURCES: Final[list[IdentitySource]] = [BB_AT, BEARER, SESSION]


class Counted:
    """A check of signatures that counts how often it is asked."""

    def __init__(self, check: Callable[[Jws, TrustedKey], bool]) -> None:
        """Count for this one."""
        self._check = check
        self.checks = 0

    def __call__(self, jws: Jws, key: TrustedKey) -> bool:
        """Count, and check."""
        self.checks += 1
        return self._check(jws, key)


@pytest.fixture
def rs256(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Count the checks of RS256 signatures."""
    counted = Counted(tokens._is_signed)
    monkeypatch.setattr(tokens, "_is_signed", counted)
    return counted


@pytest.fixture
def clock() -> TurnedClock:
    """Yield the clock of the verifier and its keys."""
    return TurnedClock(NOW)


@pytest.fixture
async def keys(host: AuthHost, clock: TurnedClock) -> AsyncIterator[KeySet]:
    """Yield a key set that has fetched the first key, as a scheduled refresh does."""
    host.publish(ONE)
    heard = Heard()
    keys = KeySet(pool_for(host.url), clock, heard)
    keys.start()
    await heard.hear("ok")
    yield keys
    await keys.close()


@pytest.fixture
def identities(keys: KeySet, clock: TurnedClock) -> Verifier:
    """Yield the verifier over those keys."""
    return Verifier(keys, ISSUER, clock)


def cookie(token: bytes, name: str = "bb_at") -> Headers:
    """Return a head that carries a token in a cookie."""
    return [(b"cookie", name.encode() + b"=" + token)]


def bearer(token: bytes) -> Headers:
    """Return a head that carries a token as a bearer."""
    return [(b"authorization", b"Bearer " + token)]


async def outcome(
    identities: Identities,
    headers: Headers,
    sources: Sequence[IdentitySource] = SOURCES,
    *,
    wait: bool = True,
) -> str:
    """Identify; return the org, or the failure."""
    result = await identities.identify(headers, sources, wait=wait)
    return result.org_id if isinstance(result, Identity) else result


@pytest.mark.parametrize(
    "headers",
    [
        cookie(mint(ONE)),
        bearer(mint(ONE)),
        cookie(mint_session(), "acme-notes_session"),
    ],
    ids=["cookie", "bearer", "session"],
)
async def test_every_source(identities: Verifier, headers: Headers) -> None:
    """A good token is an identity, from whichever source it comes."""
    assert await outcome(identities, headers) == "org_acme"


async def test_nothing_is_missing(identities: Verifier) -> None:
    """A call without any token is told so."""
    assert await outcome(identities, [(b"host", b"x")]) == IdentityFailure.MISSING


async def test_two_cookies_are_refused(identities: Verifier) -> None:
    """Two good tokens are one too many (conformance 30)."""
    headers = [*cookie(mint(ONE)), *cookie(mint(ONE))]
    assert await outcome(identities, headers) == IdentityFailure.AMBIGUOUS


@pytest.mark.parametrize("size", [8193, 60_000])
async def test_too_large_token(identities: Verifier, rs256: Counted, size: int) -> None:
    """A token over 8 KB is refused before it is looked at, and takes no memory."""
    token = mint(ONE).ljust(size, b"A")
    assert await outcome(identities, cookie(token)) == IdentityFailure.TOO_LARGE
    assert (rs256.checks, len(identities._rejected)) == (0, 0)


async def test_present_but_bad_decides(identities: Verifier) -> None:
    """A bad token of the first source is not replaced by a good one of the next."""
    headers = [*cookie(b"a.b.c"), *bearer(mint(ONE))]
    assert await outcome(identities, headers) == IdentityFailure.MALFORMED


async def test_good_token_is_checked_once(identities: Verifier, rs256: Counted) -> None:
    """A verified token costs one signature check, from any source of the same keys."""
    token = mint(ONE)
    for headers in [cookie(token), cookie(token), bearer(token)]:
        assert await outcome(identities, headers) == "org_acme"
    assert rs256.checks == 1


@pytest.mark.parametrize(
    ("token", "failure"),
    [
        (mint(TWO, header={"kid": "one"}), IdentityFailure.BAD_SIGNATURE),
        (mint(ONE, exp=int(NOW) - 61), IdentityFailure.EXPIRED),
        (mint(ONE, nbf=int(NOW) + 61), IdentityFailure.NOT_YET_VALID),
        (mint(ONE, iss="https://other.example"), IdentityFailure.WRONG_ISSUER),
        (mint(ONE, org_id=None), IdentityFailure.BAD_CLAIMS),
        (compact({"alg": "RS256", "kid": "one"}, b"[]", ONE.sign), IdentityFailure.MALFORMED),
    ],
)
async def test_bad_token_is_checked_once(
    identities: Verifier, rs256: Counted, token: bytes, failure: IdentityFailure
) -> None:
    """A bad token costs no signature check twice (conformance 31)."""
    for _ in range(3):
        assert await outcome(identities, cookie(token)) == failure
    assert rs256.checks == 1


async def test_held_token_dies_with_its_end(
    identities: Verifier, clock: TurnedClock, rs256: Counted
) -> None:
    """A held token is refused from the very second it expires, leeway included."""
    token = mint(ONE, exp=int(NOW) + 100)
    assert await outcome(identities, cookie(token)) == "org_acme"
    clock.advance(159.5)
    assert await outcome(identities, cookie(token)) == "org_acme"
    clock.advance(0.5)
    assert await outcome(identities, cookie(token)) == IdentityFailure.EXPIRED
    assert await outcome(identities, cookie(token)) == IdentityFailure.EXPIRED
    assert rs256.checks == 1


async def test_early_token_becomes_valid(
    identities: Verifier, clock: TurnedClock, rs256: Counted
) -> None:
    """A token that came too early is good from the second it begins, without another check."""
    token = mint(ONE, nbf=int(NOW) + 90)
    assert await outcome(identities, cookie(token)) == IdentityFailure.NOT_YET_VALID
    clock.advance(29.5)
    assert await outcome(identities, cookie(token)) == IdentityFailure.NOT_YET_VALID
    clock.advance(0.5)
    assert await outcome(identities, cookie(token)) == "org_acme"
    assert rs256.checks == 1


async def test_withdrawn_key_takes_its_tokens_along(
    identities: Verifier, host: AuthHost, clock: TurnedClock
) -> None:
    """A token that was verified falls when its key is withdrawn."""
    token = mint(ONE)
    assert await outcome(identities, cookie(token)) == "org_acme"
    host.publish(TWO)
    assert await outcome(identities, cookie(mint(TWO))) == "org_acme"
    assert await outcome(identities, cookie(token)) == IdentityFailure.UNKNOWN_KEY


async def test_replaced_key_takes_its_tokens_along(
    identities: Verifier, host: AuthHost, keys: KeySet
) -> None:
    """A token falls, too, when its kid now names another key."""
    token = mint(ONE)
    assert await outcome(identities, cookie(token)) == "org_acme"
    host.publish(type(ONE)("one", TWO.private))
    await keys.renew()
    assert await outcome(identities, cookie(token)) == IdentityFailure.BAD_SIGNATURE


async def test_rejection_falls_with_the_keys(
    identities: Verifier, host: AuthHost, keys: KeySet
) -> None:
    """A token that the old keys refused is judged anew by the new ones."""
    token = mint(TWO, header={"kid": "one"})
    assert await outcome(identities, cookie(token)) == IdentityFailure.BAD_SIGNATURE
    host.publish(type(ONE)("one", TWO.private))
    await keys.renew()
    assert await outcome(identities, cookie(token)) == "org_acme"


async def test_rotation_is_followed_at_once(identities: Verifier, host: AuthHost) -> None:
    """A token by a key that is not known yet fetches the key and is verified."""
    host.publish(ONE, TWO)
    assert await outcome(identities, cookie(mint(TWO))) == "org_acme"
    assert host.fetches == 2


async def test_without_waiting_nothing_is_fetched(identities: Verifier, host: AuthHost) -> None:
    """A call that must not wait fetches nothing, and fails where the keys do not suffice."""
    host.publish(TWO)
    headers = cookie(mint(TWO))
    assert await outcome(identities, headers, wait=False) == IdentityFailure.UNKNOWN_KEY
    assert host.fetches == 1


async def test_ten_thousand_unknown_kids(
    identities: Verifier, host: AuthHost, clock: TurnedClock
) -> None:
    """Ten thousand unknown kids, at once and in a row, cost one fetch a cooldown (28)."""
    tokens_ = [
        compact({"alg": "RS256", "kid": f"kid-{n}"}, b"{}", lambda _: b"x") for n in range(10_000)
    ]
    calls = [outcome(identities, cookie(token)) for token in tokens_[:5_000]]
    assert set(await asyncio.gather(*calls)) == {IdentityFailure.UNKNOWN_KEY}
    for token in tokens_[5_000:]:
        await outcome(identities, cookie(token))
    assert host.fetches == 2
    clock.advance(30)
    host.publish(TWO)
    assert await outcome(identities, cookie(mint(TWO))) == "org_acme"
    assert host.fetches == 3


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "{host}/evil"},
        {"x5u": "{host}/evil"},
        {"jwk": ONE.jwk()},
        {"x5c": ["MII="]},
        {"crit": ["exp"]},
        {"b64": False},
        {"kid": "../../etc/passwd"},
        {"kid": "{host}/evil"},
        {"kid": "x' OR 'a'='a"},
        {"kid": "k" * 10_240},
        {"kid": 1},
        {"kid": None},
    ],
    ids=lambda header: next(iter(header)),  # not the values: the key is another in each process
)
async def test_hostile_header_fetches_nothing(
    identities: Verifier, host: AuthHost, header: dict[str, object]
) -> None:
    """No header of a token makes the sidecar fetch anything from anywhere (conformance 27)."""
    named = {
        name: value.replace("{host}", host.url) if isinstance(value, str) else value
        for name, value in header.items()
    }
    token = compact({"alg": "RS256", "kid": "unknown", **named}, b"{}", ONE.sign)
    assert await outcome(identities, cookie(token)) in {
        IdentityFailure.FORBIDDEN_HEADER,
        IdentityFailure.MALFORMED,
        IdentityFailure.TOO_LARGE,
    }
    assert (host.fetches, host.elsewhere) == (1, 0)


@pytest.mark.parametrize("wait", [True, False])
async def test_no_keys_were_ever_had(host: AuthHost, clock: TurnedClock, *, wait: bool) -> None:
    """Without any keys, that is what is told: the caller may be good."""
    host.answer(b"", status=500)
    keys = KeySet(pool_for(host.url), clock, Heard())
    identities = Verifier(keys, ISSUER, clock)
    headers = cookie(mint(ONE))
    assert await outcome(identities, headers, wait=wait) == IdentityFailure.KEYS_UNAVAILABLE
    await keys.close()


async def test_hanging_auth_host_hurts_no_known_key(host: AuthHost, clock: TurnedClock) -> None:
    """While a fetch hangs, tokens by known keys are verified, and an unknown one is given up."""
    host.publish(ONE)
    keys = KeySet(pool_for(host.url), clock, Heard(), pace=Pace(timeout=4.0))
    await keys.renew()
    clock.advance(30)
    host.hang()
    identities = Verifier(keys, ISSUER, clock)
    waiting = asyncio.create_task(outcome(identities, cookie(mint(TWO))))
    await host.asked(2)
    assert await outcome(identities, cookie(mint(ONE))) == "org_acme"
    turn(4.0)
    assert await waiting == IdentityFailure.UNKNOWN_KEY
    await keys.close()


async def test_keys_that_came_late_are_used(host: AuthHost, clock: TurnedClock) -> None:
    """A failure for want of keys is not remembered."""
    host.answer(b"", status=500)
    keys = KeySet(pool_for(host.url), clock, Heard())
    identities = Verifier(keys, ISSUER, clock)
    headers = cookie(mint(ONE))
    assert await outcome(identities, headers) == IdentityFailure.KEYS_UNAVAILABLE
    host.publish(ONE)
    clock.advance(30)
    assert await outcome(identities, headers) == "org_acme"
    await keys.close()


async def test_sessions_need_no_keys(host: AuthHost, clock: TurnedClock) -> None:
    """A product's session is verified though the auth host was never reached."""
    keys = KeySet(pool_for(host.url), clock, Heard())
    identities = Verifier(keys, ISSUER, clock)
    assert await outcome(identities, cookie(mint_session(), SESSION.name)) == "org_acme"
    assert host.fetches == 0


OTHER_SECRET = CookieSource("acme-notes_session", b"another" * 8)
CROSSINGS: Final[dict[str, tuple[bytes, IdentitySource, IdentitySource, str]]] = {
    "session as a bearer": (mint_session(), SESSION, BEARER, IdentityFailure.WRONG_ALGORITHM),
    "session as bb_at": (mint_session(), SESSION, BB_AT, IdentityFailure.WRONG_ALGORITHM),
    "bb_at as a session": (mint(ONE), BB_AT, SESSION, IdentityFailure.WRONG_ALGORITHM),
    "another secret": (mint_session(), SESSION, OTHER_SECRET, IdentityFailure.BAD_SIGNATURE),
}


def _carried(token: bytes, source: IdentitySource) -> Headers:
    return cookie(token, source.name) if isinstance(source, CookieSource) else bearer(token)


@pytest.mark.parametrize("name", CROSSINGS)
async def test_no_source_answers_for_another(identities: Verifier, name: str) -> None:
    """What was verified for one source is not valid for another, in either order."""
    token, right, wrong, failure = CROSSINGS[name]
    for _ in range(2):
        assert await outcome(identities, _carried(token, right), [right]) == "org_acme"
        assert await outcome(identities, _carried(token, wrong), [wrong]) == failure


async def test_changed_token_is_another_token(identities: Verifier) -> None:
    """A held token vouches for none that differs in a byte."""
    token = mint(ONE)
    assert await outcome(identities, cookie(token)) == "org_acme"
    signature = token.rpartition(b".")[2]
    swapped = (b"B" if signature.startswith(b"A") else b"A") + signature[1:]
    forged = token[: -len(signature)] + swapped
    assert await outcome(identities, cookie(forged)) == IdentityFailure.BAD_SIGNATURE


async def test_memory_of_bad_tokens_is_bounded(
    identities: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of bad tokens takes bounded memory."""
    for n in range(verifier.REJECTED_TOKENS + 100):
        await outcome(identities, cookie(b"a.b." + coded(str(n).encode())))
    assert len(identities._rejected) == verifier.REJECTED_TOKENS


async def test_memory_of_good_tokens_is_bounded(
    keys: KeySet, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verified tokens are reckoned by size, and the one unused longest goes first."""
    first, second, third = (mint(ONE, user_id=f"user_{n}") for n in range(3))
    room_for_two = 2 * (512 + 3 * len(first))
    monkeypatch.setattr(verifier, "VERIFIED_BYTES", room_for_two)
    identities = Verifier(keys, ISSUER, clock)
    for token in (first, second, first, third):
        await outcome(identities, cookie(token))
    assert [token for _, token in identities._verified] == [first, third]


async def test_unknown_keys_are_not_remembered(identities: Verifier, host: AuthHost) -> None:
    """A flood of unknown kids leaves nothing behind."""
    host.answer(b"", status=500)
    await outcome(identities, cookie(mint(TWO)))
    assert (len(identities._verified), len(identities._rejected)) == (0, 0)


async def test_cancelled_caller_leaves_nothing(
    identities: Verifier, host: AuthHost, clock: TurnedClock
) -> None:
    """A caller who goes away during a fetch is cancelled; the key arrives all the same."""
    host.publish(ONE, TWO)
    release = host.hang()
    caller = asyncio.create_task(outcome(identities, cookie(mint(TWO))))
    await host.asked(2)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    release.set()
    assert await outcome(identities, cookie(mint(TWO))) == "org_acme"
    assert host.fetches == 2
