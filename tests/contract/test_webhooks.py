"""What the contract says of a delivery, held against one that arrives."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from sidecar.client import PlatformClient, Webhook
from sidecar.domain.model import Headers
from sidecar.events.receiver import Receiver
from tests.contract.target import Target

fact = pytest.mark.fact

PATIENCE = 30.0
"""Seconds within which a test delivery arrives."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A delivery, and the endpoint that it came to."""

    webhook: Webhook
    method: str
    fields: Headers
    raw: bytes

    def field(self, name: bytes) -> str:
        """Return the value of a field that stands there once."""
        (value,) = (value for key, value in self.fields if key == name)
        return value.decode()

    @property
    def body(self) -> dict[str, Any]:
        """The body as JSON."""
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed


@pytest.fixture
async def arrived(client: PlatformClient, target: Target) -> AsyncIterator[Arrived]:
    """The delivery of a test that was asked for."""
    if not (target.webhook_url and target.webhook_listen):
        pytest.skip("no BIZBASICS_CONTRACT_WEBHOOK_URL and _WEBHOOK_LISTEN to deliver to")
    queue: asyncio.Queue[tuple[str, Headers, bytes]] = asyncio.Queue()

    async def take(request: web.BaseRequest) -> web.Response:
        fields = [(name.lower(), value) for name, value in request.raw_headers]
        await queue.put((request.method, fields, await request.read()))
        return web.Response()

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    try:
        host, _, port = target.webhook_listen.rpartition(":")
        await web.TCPSite(runner, host, int(port)).start()
        webhook = await client.register_webhook(target.webhook_url, ["org.created"])
        await client.test_webhook(webhook.id)
        async with asyncio.timeout(PATIENCE):
            delivery = Arrived(webhook, *await queue.get())
            while delivery.body.get("endpoint_id") != webhook.id:  # one of an earlier run
                delivery = Arrived(webhook, *await queue.get())
        yield delivery
    finally:
        await runner.cleanup()


@fact("webhooks", "a delivery is a POST with the event's name in X-Bizbasics-Event")
async def test_the_event(arrived: Arrived) -> None:
    """A test is `webhook.test`."""
    assert (arrived.method, arrived.field(b"x-bizbasics-event")) == ("POST", "webhook.test")


@fact("webhooks", "X-Bizbasics-Signature is sha256= and the HMAC-SHA256 of the raw body, in hex")
async def test_the_signature(arrived: Arrived) -> None:
    """Keyed with the secret that registering answered, as text."""
    key = arrived.webhook.secret.reveal().encode()
    digest = hmac.new(key, arrived.raw, hashlib.sha256).hexdigest()

    assert arrived.field(b"x-bizbasics-signature") == f"sha256={digest}"


@fact("api", "webhook.test has test, endpoint_id, product_id, triggered_at, message")
async def test_the_test(arrived: Arrived) -> None:
    """And `test` is true."""
    body = arrived.body

    assert set(body) >= {"test", "endpoint_id", "product_id", "triggered_at", "message"}
    assert body["test"] is True


class Nobody:
    """Whom a test delivery tells nothing."""

    def forget_denial(self, org_id: str, now: float, resource: str | None = None) -> None:
        pytest.fail(f"a test made the denials of {org_id} stale ({resource}, {now})")

    def note_entitlement_event(self, org_id: str, made_at: float) -> None:
        pytest.fail(f"a test made the limits of {org_id} stale ({made_at})")

    def event_received(self, outcome: str) -> None:
        """Count nothing."""


@fact("ours", "the sidecar takes a test delivery for signed and young, and drops nothing for it")
async def test_the_sidecars_receiver(arrived: Arrived) -> None:
    """The code that `run --webhook-url` has, on the bytes that came."""
    nobody = Nobody()
    receiver = Receiver(nobody, time, nobody, secret=arrived.webhook.secret.reveal)

    assert receiver.receive(arrived.fields, arrived.raw) == "ignored"
