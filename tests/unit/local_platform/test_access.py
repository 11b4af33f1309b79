"""Who may call what."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.test_utils import make_mocked_request

from sidecar.local_platform import LocalPlatform, Rejection
from sidecar.local_platform.access import FROM_THIS_MACHINE
from tests.fakes.clock import TurnedClock
from tests.unit.local_platform import acme

STATUS = "/v1/quota/status"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer bbk_wrong",
        f"Basic {acme.API_KEY}",
        acme.API_KEY,
        f"Bearer {acme.NOTES_KEY}",
    ],
)
async def test_a_call_of_an_org_needs_its_key(caller: acme.Caller, given: str) -> None:
    """401 for none, a wrong one, another scheme, a product's secret."""
    status, _ = await caller.ask("GET", STATUS, headers={"Authorization": given})

    assert status == 401


async def test_a_key_without_the_scope_is_403(caller: acme.Caller) -> None:
    """A key that may only write does not read."""
    status, body = await caller.read(STATUS, api_key=acme.WRITE_KEY)

    assert status == 403
    assert "'read'" in body["detail"]


async def test_the_platforms_cookie_works_on_user_facing_calls(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """A browser with a session reads its own org."""
    cookie = {"Cookie": f"bb_at={platform.mint_token(acme.ORG)}"}

    status, body = await caller.ask("GET", STATUS, headers=cookie)

    assert (status, body["org_id"]) == (200, acme.ORG)


async def test_a_cookie_dies_with_its_token(
    caller: acme.Caller, platform: LocalPlatform, clock: TurnedClock
) -> None:
    """401 from the second it expires."""
    cookie = {"Cookie": f"bb_at={platform.mint_token(acme.ORG, ttl=60)}"}
    clock.advance(60)

    status, _ = await caller.ask("GET", STATUS, headers=cookie)

    assert status == 401


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_a_cookie_that_is_no_token_of_ours_is_401(caller: acme.Caller, token: str) -> None:
    """Rubbish, and a token without a signature."""
    status, _ = await caller.ask("GET", STATUS, headers={"Cookie": f"bb_at={token}"})

    assert status == 401


async def test_a_wrong_key_is_not_saved_by_a_cookie(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """The credential that was given decides."""
    headers = {
        "Authorization": "Bearer bbk_wrong",
        "Cookie": f"bb_at={platform.mint_token(acme.ORG)}",
    }

    status, _ = await caller.ask("GET", STATUS, headers=headers)

    assert status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.test"},
        {"Host": "127.0.0.1.evil.test"},
        {"Host": "localhost.evil.test:80"},
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
    ],
)
async def test_control_refuses_what_a_foreign_page_can_send(
    caller: acme.Caller, headers: dict[str, str]
) -> None:
    """A rebound name in Host, or another site's Origin."""
    status, _ = await caller.ask("GET", "/_control/consumes", headers=headers)

    assert status == 403


@pytest.mark.parametrize("host", ["localhost:8092", "127.0.0.1", "[::1]:1", "LOCALHOST"])
async def test_control_answers_to_the_names_of_this_machine(caller: acme.Caller, host: str) -> None:
    """Loopback addresses and localhost, with any port."""
    status, _ = await caller.ask("GET", "/_control/consumes", headers={"Host": host})

    assert status == 200


class TransportFrom(asyncio.Transport):
    """A connection whose other end is at `address`."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40_000)})


@pytest.mark.parametrize("address", ["10.0.0.9", "192.168.1.5", "2001:db8::1"])
def test_a_peer_elsewhere_is_refused_whatever_it_says_of_itself(address: str) -> None:
    """The socket counts, no header."""
    request = make_mocked_request(
        "GET",
        "/_control/consumes",
        headers={"Host": "localhost", "X-Forwarded-For": "127.0.0.1"},
        transport=TransportFrom(address),
    )

    with pytest.raises(Rejection) as rejected:
        FROM_THIS_MACHINE.admit(request)
    assert rejected.value.status == 403


async def test_a_session_of_an_org_that_is_gone_is_401(
    caller: acme.Caller, platform: LocalPlatform
) -> None:
    """Signed by us, and of nobody here."""
    token = platform.mint_token(acme.ORG, claims={"org_id": "org_gone"})

    status, _ = await caller.ask("GET", STATUS, headers={"Cookie": f"bb_at={token}"})

    assert status == 401
