"""Which platform the contract is held against, and how it is asked."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any

import aiohttp

ENVIRONMENT = "BIZBASICS_CONTRACT_"
REQUIRED = ("URL", "AUTH_URL", "INTERNAL_KEY", "API_KEY", "ORG", "PRODUCT")


@dataclass(frozen=True, slots=True)
class Target:
    """A platform and credentials of one product and one org of it.

    `resource` is one that the org may use; the suite consumes a few dozen units of it.
    `webhook_url` is where a webhook may be registered; empty: nowhere, and those facts are skipped.
    `webhook_listen` is the host:port here that deliveries to it arrive at, by a tunnel perhaps.
    `token` is a `bb_at` of a user of the org. Where one is empty, its facts are skipped.
    """

    url: str
    auth_url: str
    internal_key: str = field(repr=False)
    api_key: str = field(repr=False)
    org_id: str
    product: str
    resource: str = "api_calls"
    webhook_url: str = ""
    webhook_listen: str = ""
    token: str = field(default="", repr=False)


def target_from_environment() -> Target | None:
    """Return the platform that the environment names, or None when it names none.

    Raises ValueError naming the variables that are missing beside BIZBASICS_CONTRACT_URL.
    """
    given = {name: os.environ.get(ENVIRONMENT + name, "") for name in REQUIRED}
    if not given["URL"]:
        return None
    missing = [ENVIRONMENT + name for name, value in given.items() if not value]
    if missing:
        raise ValueError(f"contract tests against {given['URL']} also need {', '.join(missing)}")
    return Target(
        url=given["URL"].rstrip("/"),
        auth_url=given["AUTH_URL"].rstrip("/"),
        internal_key=given["INTERNAL_KEY"],
        api_key=given["API_KEY"],
        org_id=given["ORG"],
        product=given["PRODUCT"],
        resource=os.environ.get(f"{ENVIRONMENT}RESOURCE", "api_calls"),
        webhook_url=os.environ.get(f"{ENVIRONMENT}WEBHOOK_URL", ""),
        webhook_listen=os.environ.get(f"{ENVIRONMENT}WEBHOOK_LISTEN", ""),
        token=os.environ.get(f"{ENVIRONMENT}TOKEN", ""),
    )


class Client:
    """Asks a target; answers are (status, parsed body)."""

    def __init__(self, session: aiohttp.ClientSession, target: Target) -> None:
        self._session = session
        self.target = target

    async def ask(self, method: str, url: str, **more: Any) -> tuple[int, Any]:
        async with self._session.request(method, url, **more) as answer:
            return answer.status, await answer.json()

    async def as_product(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"X-Internal-Key": self.target.internal_key}
        return await self.ask(method, self.target.url + path, headers=headers, **more)

    async def as_org(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.target.api_key}"}
        return await self.ask(method, self.target.url + path, headers=headers, **more)

    async def consume(self, **body: Any) -> tuple[int, Any]:
        asked = {"org_id": self.target.org_id, "resource": self.target.resource, **body}
        return await self.as_product("POST", "/v1/quota/consume", json=asked)

    async def used(self) -> int:
        """What quota status says was used of the target's resource."""
        _, body = await self.as_org("GET", "/v1/quota/status")
        return int(body["quotas"][self.target.resource]["used"])
