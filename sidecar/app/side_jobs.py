"""What the sidecar does at the platform beside its consume call: its webhook and its notices.

Made only where they are asked for; otherwise no connection, no task and no step on the way of a
call exists for them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from sidecar.client import NewRecord, PlatformClient
from sidecar.domain.ports import Clock
from sidecar.events.receiver import Receiver, Stale
from sidecar.events.registrar import Registrar
from sidecar.notices.publisher import Publisher
from sidecar.notices.wording import RECORD_TYPE, Notice
from sidecar.policy.store import PolicyStore
from sidecar.proxy.event_door import EventDoor
from sidecar.proxy.gateway import Gateway
from sidecar.settings.run import Settings
from sidecar.settings.secret import BBK_KEY, WEBHOOK_SECRET, KeySource, Secret
from sidecar.telemetry.observer import Observer

log = logging.getLogger("sidecar.app")

Hide = Callable[[Secret], None]
"""Hears of a credential before it is used, so that logs mask it."""


def client_for(settings: Settings, internal_key: Callable[[], str], hide: Hide) -> PlatformClient:
    """Return a client for the side jobs; its keys are read again when their files change."""
    api_key = settings.api_key
    source = None if api_key is None else KeySource(api_key, what=BBK_KEY, on_change=hide)
    return PlatformClient(
        internal_key=internal_key,
        api_key=None if source is None else source.current,
        url=settings.platform.url,
        auth_url=settings.auth.url,
    )


class WebhookJob:
    """The sidecar's own webhook: the door that takes deliveries, and the registration."""

    def __init__(
        self,
        url: str,
        path: str,
        secret: Secret | Path | None,
        *,
        client: PlatformClient,
        hide: Hide,
        stale: Stale,
        clock: Clock,
        observer: Observer,
    ) -> None:
        """Take a `secret` as it is; without one, `run` registers the URL and learns it."""
        self._url = url
        self._path = path
        self._client = client
        self._registrar: Registrar | None = None
        current: Callable[[], str | None]
        if secret is None:
            self._registrar = Registrar(self._register, on_secret=hide)
            current = self._registrar.secret
        else:
            current = KeySource(secret, what=WEBHOOK_SECRET, on_change=hide).current
        self._receiver = Receiver(stale, clock, observer, secret=current)

    def door(self, gateway: Gateway) -> EventDoor:
        """Return what stands before the gateway."""
        return EventDoor(gateway, self._path, self._receiver)

    async def run(self) -> None:
        """Register, where that is to be done. Begin when the door is open."""
        if self._registrar is not None:
            await self._registrar.run()

    async def _register(self, events: Sequence[str]) -> Secret:
        return (await self._client.register_webhook(self._url, events)).secret


def publisher_for(
    settings: Settings, client: PlatformClient, policies: PolicyStore, observer: Observer
) -> Publisher:
    """Return the publisher; the observer tells it of quotas."""

    async def publish(notice: Notice) -> None:
        await client.publish_record(NewRecord(record_type=RECORD_TYPE, **asdict(notice)))

    publisher = Publisher(
        publish,
        product=lambda: settings.product or policies.current.product,
        levels=lambda: policies.current.notices,
        observer=observer,
    )
    observer.tell_quotas_to(publisher.seen)
    return publisher
