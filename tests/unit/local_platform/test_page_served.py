"""`GET /`."""

from __future__ import annotations

from tests.unit.local_platform import acme


async def test_the_page_shows_what_happened(caller: acme.Caller) -> None:
    """Orgs, what was counted, and the faults in force; with a policy that lets no script run."""
    await caller.consume(amount=5, idempotency_key="the-key")
    await caller.consume(amount=50, idempotency_key="too-much")
    await caller.control("PUT", "/faults", {"latency_ms": 7})

    async with caller.session.get(caller.url) as answer:
        page = await answer.text()
        policy = answer.headers["Content-Security-Policy"]

    assert answer.status == 200
    assert "5 of 25" in page
    assert "the-key" in page
    assert page.index("refused") < page.index("too-much") < page.index("the-key")
    assert "latency_ms" in page
    assert "default-src 'none'" in policy


async def test_the_page_tells_no_key(caller: acme.Caller) -> None:
    """It can be left open in a meeting."""
    async with caller.session.get(caller.url) as answer:
        page = await answer.text()

    assert "bbas_" not in page
    assert "bbk_" not in page


async def test_a_rebound_name_gets_no_page(caller: acme.Caller) -> None:
    """As under /_control."""
    async with caller.session.get(caller.url, headers={"Host": "evil.test"}) as answer:
        assert answer.status == 403
