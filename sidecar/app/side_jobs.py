"""What the sidecar does at the platform beside its consume call: its webhook and its notices.

Made only where they are asked for; otherwise no connection, no task and no step on the way of a
call exists for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from sidecar.app.background import own_task
from sidecar.app.context import Context
from sidecar.app.engine import EngineParts
from sidecar.client import NewRecord, PlatformClient
from sidecar.events.receiver import Receiver, Stale
from sidecar.events.registrar import Registrar
from sidecar.notices.publisher import Publisher
from sidecar.notices.wording import RECORD_TYPE, Notice
from sidecar.policy.store import PolicyStore
from sidecar.proxy.event_door import EventDoor
from sidecar.proxy.gateway import Gateway
from sidecar.settings.secret import BBK_KEY, WEBHOOK_SECRET, KeySource, Secret
from sidecar.settings.sections import OrgSettings
from sidecar.settings.values import WebhookUrl


async def open_side_jobs(
    context: Context, org: OrgSettings, policies: PolicyStore, parts: EngineParts
) -> WebhookJob | None:
    """Start the notices and make the webhook, where they are asked for."""
    owned = context.owned
    client = _client(context, org, parts.key.current)
    await owned.enter_async_context(client)
    if org.api_key is not None:
        own_task(owned, _publisher(context, client, policies).run(), "notices")
    if org.webhook_url is None:
        return None
    return WebhookJob(org.webhook_url, org.webhook_secret, client, context, parts.books.ledger)


def _client(context: Context, org: OrgSettings, internal_key: Callable[[], str]) -> PlatformClient:
    """Return a client for the side jobs; its keys are read again when their files change."""
    api_key, platform = org.api_key, context.settings.platform
    source = None if api_key is None else KeySource(api_key, what=BBK_KEY, on_change=context.hide)
    return PlatformClient(
        internal_key=internal_key,
        api_key=None if source is None else source.current,
        url=platform.api.url,
        auth_url=platform.auth.url,
    )


class WebhookJob:
    """The sidecar's own webhook: the door that takes deliveries, and the registration."""

    def __init__(
        self,
        url: WebhookUrl,
        secret: Secret | Path | None,
        client: PlatformClient,
        context: Context,
        stale: Stale,
    ) -> None:
        """Take a `secret` as it is; without one, `run` registers the URL and receives it."""
        self._url = url
        self._client = client
        self._registrar: Registrar | None = None
        current: Callable[[], str | None]
        if secret is None:
            self._registrar = Registrar(self._register, on_secret=context.hide)
            current = self._registrar.secret
        else:
            current = KeySource(secret, what=WEBHOOK_SECRET, on_change=context.hide).current
        self._receiver = Receiver(stale, context.clock, context.observer, secret=current)

    def door(self, gateway: Gateway) -> EventDoor:
        """Return what stands before the gateway."""
        return EventDoor(gateway, self._url.path, self._receiver)

    async def run(self) -> None:
        """Register, where that is to be done. Begin when the door is open."""
        if self._registrar is not None:
            await self._registrar.run()

    async def _register(self, events: Sequence[str]) -> Secret:
        return (await self._client.register_webhook(self._url.url, events)).secret


def _publisher(context: Context, client: PlatformClient, policies: PolicyStore) -> Publisher:
    """Return the publisher; the observer reports quotas to it."""
    product = context.settings.policy.product

    async def publish(notice: Notice) -> None:
        await client.publish_record(NewRecord(record_type=RECORD_TYPE, **asdict(notice)))

    publisher = Publisher(
        publish,
        product=lambda: product or policies.current.product,
        levels=lambda: policies.current.notices,
        observer=context.observer,
    )
    context.observer.report_quotas_to(publisher.seen)
    return publisher
