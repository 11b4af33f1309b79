"""Tokens as they come over the wire, to a whole sidecar: conformance families 26 to 31.

What each token is refused for is tested in tests/unit/identity. Here: it is a 401, whichever way it
comes; the product gets no byte, the platform no consume, and the auth host no more fetches than it
should.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.e2e.harness import CHAT, ORG, Stack, eventually, stack
from tests.e2e.raw_client import RawClient
from tests.unit.identity.auth_host import AuthHost, running_auth_host
from tests.unit.identity.mint import (
    ISSUER,
    NOW,
    coded,
    compact,
    key_set,
    mint,
    signer_hs256,
    signing_key,
)

ONE: Final = signing_key("one")
TWO: Final = signing_key("two")
EXPIRES: Final = int(NOW) + 1200
VECTORS: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "unit" / "identity" / "vectors" / "jws.json").read_text()
)


class SetClock:
    """A time of day that stands until it is set; everything else goes by the real one."""

    def __init__(self) -> None:
        self.now = NOW

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Unix seconds."""
        return self.now


@dataclass
class Door:
    """A sidecar whose key set is served by a host that may be hostile."""

    stack: Stack
    host: AuthHost
    clock: SetClock
    client: RawClient

    async def ask(self, *lines: bytes) -> int:
        """Call the metered route with these field lines; return the status."""
        head = b"\r\n".join((f"POST {CHAT} HTTP/1.1".encode(), b"host: a", *lines, b"", b""))
        return (await self.client.send(_with_body(head))).status

    async def ask_with(self, token: bytes) -> set[int]:
        """Call with a token as a cookie and as a bearer; return the statuses."""
        return {
            await self.ask(b"cookie: bb_at=" + token),
            await self.ask(b"authorization: Bearer " + token),
        }

    def nothing_happened(self) -> bool:
        """Say that neither the product nor the platform has heard of any call."""
        return not self.stack.executions(None) and not self.stack.charges(None)


def _with_body(head: bytes) -> bytes:
    return head[:-2] + b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def door(keys: bytes | None = None) -> AsyncIterator[Door]:
    """Run a chain at the time `NOW`, with the key `ONE` published, or this key set."""
    clock = SetClock()
    async with running_auth_host() as host:
        host.publish(ONE)
        if keys is not None:
            host.answer(keys)
        async with (
            stack(auth_url=host.url, issuer=ISSUER, clock=clock) as s,
            RawClient(s.url) as client,
        ):
            await eventually(s.metrics, lambda page: page.sum("jwks_keys") > 0)
            yield Door(s, host, clock, client)


async def test_a_good_token_opens() -> None:
    """The door is not simply shut."""
    async with door() as d:
        assert await d.ask_with(mint(ONE)) == {200}
        assert (d.stack.executions(), d.stack.charges()) == (2, 2)


async def test_no_vector_opens() -> None:
    """26: `none`, other algorithms, the public key as a secret, forged paddings: all are 401."""
    opened = []
    async with door(key_set(*VECTORS["keys"])) as d:
        d.clock.now = VECTORS["now"]
        for vector in VECTORS["platform"]:
            token = vector["token"].encode()
            if b"\n" in token or token != token.strip():
                continue  # no field carries a line end, or blanks around a value
            statuses = await d.ask_with(token)
            assert statuses <= {200, 401}
            if statuses != {401}:
                opened.append((vector["tries"], vector["wanted"]))
        page = await d.stack.metrics()
        assert page.sum("requests_total", reason="unauthenticated") > 100
        assert d.host.fetches == 1
    assert {wanted for _, wanted in opened} == {ORG}
    assert len(opened) == len([each for each in VECTORS["platform"] if each["wanted"] == ORG])


HEADERS: Final[dict[str, dict[str, object]]] = {
    "jku": {"jku": "{host}/keys"},
    "x5u": {"x5u": "{host}/keys"},
    "jwk": {"jwk": TWO.jwk()},
    "x5c": {"x5c": ["MIIB"]},
    "crit": {"crit": ["exp"], "exp": 1},
    "b64": {"b64": False, "crit": ["b64"]},
    "kid as a path": {"kid": "../../../../dev/null"},
    "kid as a URL": {"kid": "{host}/keys/one"},
    "kid with quotes": {"kid": "one' OR '1'='1"},
    "kid of 10 KB": {"kid": "k" * 5000},
    "kid as a number": {"kid": 1},
    "kid as null": {"kid": None},
    "kid as a list": {"kid": ["one"]},
    "kid empty": {"kid": ""},
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=[*HEADERS])
async def test_no_header_makes_us_fetch(header: dict[str, object]) -> None:
    """27: 401, nothing is fetched from anywhere, and nothing of it is on a page."""
    async with door() as d:
        named = {
            name: value.replace("{host}", d.host.url) if isinstance(value, str) else value
            for name, value in header.items()
        }
        genuine = compact({"alg": "RS256", "kid": "one", **named}, b'{"org_id":"x"}', ONE.sign)
        assert await d.ask_with(genuine) == {401}
        assert (d.host.fetches, d.host.elsewhere) == (1, 0)
        assert d.nothing_happened()
        page = await d.stack.metrics()
        kinds = page.by("identity_failures_total", "kind")
        assert sum(kinds.values()) == 2
        assert kinds.keys() <= {"forbidden_header", "malformed", "too_large"}


async def test_a_flood_of_unknown_kids_is_one_fetch() -> None:
    """28: a thousand strangers' tokens, at once and in a row: one fetch in a cooldown."""
    async with door() as d:

        async def ask(number: int) -> int:
            token = compact({"alg": "RS256", "kid": f"k{number}"}, b"{}", ONE.sign)
            async with RawClient(d.stack.url) as client:
                head = b"POST %b HTTP/1.1\r\nhost: a\r\ncookie: bb_at=%b\r\n\r\n"
                answer = await client.send(_with_body(head % (CHAT.encode(), token)))
                return answer.status

        for start in range(0, 1_000, 50):
            statuses = await asyncio.gather(*(ask(start + number) for number in range(50)))
            assert set(statuses) == {401}
        assert d.host.fetches == 2
        assert d.nothing_happened()
        page = await d.stack.metrics()
        assert page.by("identity_failures_total", "kind") == {"unknown_key": 1_000}


async def test_a_rotated_key_works_at_once() -> None:
    """28: the first token by a new key fetches it; the old one dies with its key."""
    async with door() as d:
        assert await d.ask_with(mint(ONE)) == {200}
        d.host.publish(TWO)
        assert await d.ask_with(mint(TWO)) == {200}
        assert await d.ask_with(mint(ONE)) == {401}


@pytest.mark.parametrize("fault", ["broken", "huge", "redirect", "hang_up", "error"])
async def test_a_bad_key_set_keeps_the_last_good_one(fault: str) -> None:
    """28: whatever the auth host serves when an unknown kid asks, known keys go on."""
    async with door() as d:
        match fault:
            case "broken":
                d.host.answer(b'{"keys": [')
            case "huge":
                d.host.answer(b" " * 1_000_000 + key_set(TWO.jwk()))
            case "redirect":
                d.host.redirect()
            case "hang_up":
                d.host.hang_up()
            case _:
                d.host.answer(b"<html>", status=500)
        assert await d.ask_with(mint(TWO)) == {401}
        assert await d.ask_with(mint(ONE)) == {200}
        assert d.host.fetches <= 3  # a connection that was hung up on is tried once more
        assert d.host.elsewhere == 0


async def test_a_token_ends_to_the_second() -> None:
    """29 and 31: 60 s of leeway and not one more, though it was verified before."""
    async with door() as d:
        token = mint(ONE, nbf=int(NOW))
        times = {NOW - 61: {401}, NOW - 60: {200}, EXPIRES + 59.9: {200}, EXPIRES + 60: {401}}
        for now, statuses in times.items():
            d.clock.now = now
            assert await d.ask_with(token) == statuses, now


CLAIMS: Final[dict[str, dict[str, Any]]] = {
    "no end": {"exp": None},
    "end as text": {"exp": str(EXPIRES)},
    "end as true": {"exp": True},
    "end beyond all": {"exp": 1e300},
    "end below nought": {"exp": -1},
    "another issuer": {"iss": "https://evil.example"},
    "issuer with a slash": {"iss": ISSUER + "/"},
    "issuer in upper case": {"iss": ISSUER.upper()},
    "issuer with a tail": {"iss": ISSUER + ".evil.example"},
    "issuer in a list": {"iss": [ISSUER]},
    "no issuer": {"iss": None},
    "no org": {"org_id": None},
    "empty org": {"org_id": ""},
    "org as a number": {"org_id": 1},
    "org as a list": {"org_id": ["org_acme"]},
    "org with a line end": {"org_id": "org_acme\r\nx-bb-role: owner"},
    "org with a space": {"org_id": "org acme"},
}


async def test_bad_claims_open_nothing() -> None:
    """29: a good signature over claims that are not to be trusted."""
    async with door() as d:
        opened = [name for name, c in CLAIMS.items() if await d.ask_with(mint(ONE, **c)) != {401}]
        assert opened == []
        for number in (b"NaN", b"Infinity", b"1e999"):
            payload = b'{"iss":"%b","org_id":"org_acme","exp":%b}' % (ISSUER.encode(), number)
            token = compact({"alg": "RS256", "kid": "one"}, payload, ONE.sign)
            assert await d.ask_with(token) == {401}
        assert d.nothing_happened()


async def test_two_tokens_are_one_too_many() -> None:
    """30: in one Cookie line or two, the same or another, first or last; and two bearers."""
    good, bad = b"bb_at=" + mint(ONE), b"bb_at=x"
    async with door() as d:
        for one, two in ((good, good), (good, bad), (bad, good)):
            assert await d.ask(b"cookie: a=b; " + one + b"; " + two) == 401
            assert await d.ask(b"cookie: " + one, b"cookie: c=d; " + two) == 401
        bearer = b"authorization: Bearer " + mint(ONE)
        assert await d.ask(bearer, bearer) == 401
        assert d.nothing_happened()


async def test_what_is_no_token_is_not_decoded() -> None:
    """30: over 8 KB, or not three segments."""
    async with door() as d:
        part = coded(b"{}")
        for token in (mint(ONE) + b"A" * 8192, part, part * 2, b".".join([part] * 4), b"...", b"x"):
            assert await d.ask_with(token) == {401}
        page = await d.stack.metrics()
        assert page.by("identity_failures_total", "kind").keys() == {"too_large", "malformed"}
        assert d.nothing_happened()


async def test_the_public_key_is_no_secret() -> None:
    """26: HS256 by what everybody can read, in the source that is verified by that very key."""
    async with door() as d:
        numbers = json.dumps(ONE.jwk()).encode()
        for secret in (numbers, key_set(ONE.jwk()), b"", b"one"):
            header = {"alg": "HS256", "kid": "one"}
            payload = {"iss": ISSUER, "org_id": ORG, "exp": EXPIRES}
            assert await d.ask_with(compact(header, payload, signer_hs256(secret))) == {401}
        assert d.nothing_happened()
