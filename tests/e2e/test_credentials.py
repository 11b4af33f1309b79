"""The sidecar's own credentials go to the platform's API and nowhere else: every byte is looked at.

Wires are recorded by relays; pages, the log and the metrics are read as their readers do.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from tempfile import TemporaryDirectory
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.harness import (
    KEY,
    LOCAL,
    ORG,
    SESSION_SECRET,
    eventually,
    policy,
    soon,
    surroundings,
)
from tests.e2e.programs import ProcessStack, redis, start_sidecar
from tests.e2e.relay import Relay

REDIS_PASSWORD = "redis-password-0123456789"
API_KEY = "bbk_credentials_0123456789"
WEBHOOK_SECRET = "whsec_credentials_0123456789"
SECRETS = (KEY, SESSION_SECRET, REDIS_PASSWORD, API_KEY, WEBHOOK_SECRET)
EVENTS = "/api/_sidecar/events"
SPENT = "org_spent"
PAGES = ("health", "ready", "metrics", "policy", "quota", "nothing")


def forms(secret: str) -> Iterator[bytes]:
    """Return the ways in which a secret could be written."""
    raw = secret.encode()
    yield raw
    yield quote(secret, safe="").encode()
    yield raw.hex().encode()
    for padded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        yield padded.rstrip(b"=")[:-1]  # the last letter depends on what follows


SECRET_FORMS = [form for secret in SECRETS for form in forms(secret)]


@dataclass
class Taps:
    """What was recorded on each wire, and what was read of pages and logs."""

    client: Relay
    upstream: Relay
    auth: Relay
    platform: Relay
    redis: Relay
    journal_file: Path
    pages: str = ""
    log: str = ""
    journal: bytes = b""


@contextlib.asynccontextmanager
async def tapped() -> AsyncIterator[tuple[ProcessStack, Taps]]:
    """Run a chain with a relay on every wire of its sidecar, which logs all that it can."""
    text = policy(defaults={"platform_timeout": "1s"}, notices={})
    async with contextlib.AsyncExitStack() as owned:
        folder = Path(owned.enter_context(TemporaryDirectory(prefix="bb-e2e-")))
        path = await owned.enter_async_context(redis(folder, REDIS_PASSWORD))
        to_redis = await owned.enter_async_context(Relay(f"unix:{path}"))
        address = to_redis.url.removeprefix("http://")
        environ = {
            "REDIS_URL": f"redis://default:{REDIS_PASSWORD}@{address}/0",
            "BIZBASICS_API_KEY": API_KEY,
            "SIDECAR_WEBHOOK_SECRET": WEBHOOK_SECRET,
        }
        place, platform, upstream = await owned.enter_async_context(
            surroundings(text, {ORG: 25, SPENT: 1}, environ, None, None)
        )
        to_platform, to_auth, to_upstream = [
            await owned.enter_async_context(Relay(url))
            for url in (platform.url, platform.url, upstream.url)
        ]
        place.platform_url, place.upstream_url = to_platform.url, to_upstream.url
        flags = place.flags(
            auth_url=to_auth.url,
            log_level="debug",
            trusted_proxies=LOCAL,
            journal=folder / "journal",
            webhook_url=f"https://product.example{EVENTS}",
        )
        program = await start_sidecar(flags, place.environ)
        owned.push_async_callback(program.close)
        to_client = await owned.enter_async_context(Relay(program.url))
        s = ProcessStack(place, platform, upstream, [program])
        s.program = program
        await s.client.aclose()
        s.client = httpx.AsyncClient(base_url=to_client.url, timeout=20)
        owned.push_async_callback(s.client.aclose)
        wires = (to_client, to_upstream, to_auth, to_platform, to_redis)
        yield s, Taps(*wires, journal_file=folder / "journal")


async def delivered(s: ProcessStack, secret: str) -> int:
    """Deliver an event that is signed with `secret`; return the status."""
    body = f'{{"event":"org.updated","org_id":"{ORG}"}}'.encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "x-bizbasics-event": "org.updated",
        "x-bizbasics-signature": f"sha256={signature}",
    }
    return (await s.client.post(EVENTS, content=body, headers=headers)).status_code


async def live(s: ProcessStack, taps: Taps) -> str:
    """Let the sidecar meet everything that could make it talk; return all its pages."""
    for path in ("/api/v1/chat", "/api/echo", "/api/status/500", "/api/v1/chat%2f", "/nowhere"):
        await s.call(path)
        await s.call(path, org=None)
    await s.call(org=None, headers={"authorization": "Bearer nonsense"})
    await s.call(headers={"x-request-id": "of-a-trusted-proxy"})
    await s.call(org=None, headers={"x-internal-key": "bbas_of_the_client", "x-bb-org-id": "x"})
    assert [(await s.call(org=SPENT)).status_code for _ in range(2)] == [200, 429]
    await eventually(s.metrics, lambda page: page.sum("notices_total") > 0)
    assert [await delivered(s, secret) for secret in (WEBHOOK_SECRET, "other")] == [200, 401]
    for faults in ({"status": 401}, {"status": 500}, {"malformed": "html"}, {"malformed": "half"},
                   {"drop_after_commit": True}, {"store_down": True}):  # fmt: skip
        await s.fault(**faults)
        await s.call()
    taps.journal = await soon(taps.journal_file.read_bytes, bool)  # until all of it is paid
    await s.fault()
    pages = [await page(s, name) for name in PAGES]
    s.place.policy_file.write_text("version: 2\nidentity: {secret_env: APP_SESSION_SECRET}\n")
    pages.append((await s.client.post(f"{s.admin}/reload")).text)
    pages.append(await page(s, "ready"))
    assert (await s.metrics()).sum("consume_requests_total") > 5
    return "\n".join(pages)


async def page(s: ProcessStack, name: str) -> str:
    """Read an admin page with its head."""
    answer = await s.client.get(
        f"{s.admin}/{name}", headers={"accept": "application/openmetrics-text"}
    )
    return f"{answer.headers}\n{answer.text}"


async def recorded() -> Taps:
    """Run the chain from start to end, and return what was seen of it."""
    async with tapped() as (s, taps):
        taps.pages = await live(s, taps)
        s.program.send(SIGTERM)
        assert await s.program.ended() == 0
        taps.log = "\n".join([*s.program.err, *s.program.out])
        taps.journal += taps.journal_file.read_bytes()
    return taps


async def test_credentials_are_seen_only_by_the_platform() -> None:
    """No form of a credential is on another wire than its own, on a page or in a log line."""
    taps = await recorded()
    elsewhere = {
        "client": taps.client.everything,
        "upstream": taps.upstream.everything,
        "auth": taps.auth.everything,
        "platform's answers": bytes(taps.platform.answered),
        "pages": taps.pages.encode(),
        "log": taps.log.encode(),
        "journal": taps.journal,
        "redis's answers": bytes(taps.redis.answered),
    }
    for place, content in elsewhere.items():
        assert content, f"nothing was recorded: {place}"
        assert [form for form in SECRET_FORMS if form in content] == [], place
    sent = bytes(taps.platform.sent)
    consumes = sent.count(b"POST /v1/quota/consume ")
    assert sent.count(f"x-internal-key: {KEY}\r\n".encode()) == consumes > 5
    notices = sent.count(b"POST /v1/workspace-records ")
    assert sent.count(f"Authorization: Bearer {API_KEY}\r\n".encode()) == notices > 0
    assert REDIS_PASSWORD.encode() in taps.redis.sent
    for own, content in (({KEY, API_KEY}, sent), ({REDIS_PASSWORD}, bytes(taps.redis.sent))):
        others = [form for secret in SECRETS if secret not in own for form in forms(secret)]
        assert [form for form in others if form in content] == []


async def test_a_callers_token_is_seen_only_by_the_product() -> None:
    """What proves a caller goes to the product, as it came, and into no page, log or consume."""
    taps = await recorded()
    tokens = set(re.findall(rb"eyJ[\w-]+\.[\w-]+\.([\w-]+)", bytes(taps.client.sent)))
    assert any(signature in taps.upstream.sent for signature in tokens)
    elsewhere = taps.platform.everything + taps.auth.everything + taps.journal
    elsewhere += f"{taps.pages}{taps.log}".encode()
    assert [signature for signature in tokens if signature in elsewhere] == []


@pytest.mark.parametrize("secret", SECRETS)
def test_forms_find_what_they_look_for(secret: str) -> None:
    """A secret is found within other text, plain, escaped and in base64."""
    raw = f"{secret}".encode()
    for content in (raw, quote(raw).encode(), base64.b64encode(raw), raw.hex().encode()):
        assert [form for form in forms(secret) if form in b"before " + content + b" after"]
