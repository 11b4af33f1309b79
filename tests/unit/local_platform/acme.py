"""The seed that these tests share, and how they talk to the platform."""

from __future__ import annotations

from typing import Any

import aiohttp

from sidecar.domain.model import Resource
from sidecar.local_platform import ApiKey, Member, Seed, SeedOrg, SeedProduct

NOTES_KEY = "bbas_dev_acme_notes"
OTHER_KEY = "bbas_dev_other"
API_KEY = "bbk_dev_acme"
BOUND_KEY = "bbk_dev_bound"
READ_KEY = "bbk_dev_read"
WRITE_KEY = "bbk_dev_write"
ORG = "org_acme"


def seed() -> Seed:
    """Two products; one org with one of them, another org with none of it."""
    return Seed(
        products=[
            SeedProduct(slug="acme-notes", key=NOTES_KEY, name="Acme Notes"),
            SeedProduct(slug="other", key=OTHER_KEY),
        ],
        orgs=[
            SeedOrg(
                id=ORG,
                plan="pro",
                apps=["acme-notes"],
                quotas={Resource.AI_CALLS: 25, Resource.API_CALLS: -1},
                keys=[
                    ApiKey(key=API_KEY),
                    ApiKey(key=BOUND_KEY, product="acme-notes"),
                    ApiKey(key=READ_KEY, scopes=["read"]),
                    ApiKey(key=WRITE_KEY, scopes=["write"]),
                ],
                members=[Member(user_id="ann", email="ann@acme.test", role="org_owner")],
            ),
            SeedOrg(id="org_bare", apps=["other"], keys=[ApiKey(key="bbk_dev_bare")]),
        ],
    )


class Caller:
    """A client of one platform; answers are (status, parsed body)."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.url + path, **more) as answer:
            return answer.status, await answer.json()

    async def consume(self, *, internal_key: str = NOTES_KEY, **body: Any) -> tuple[int, Any]:
        return await self.ask(
            "POST",
            "/v1/quota/consume",
            json={"org_id": ORG, "resource": "ai_calls", **body},
            headers={"X-Internal-Key": internal_key},
        )

    async def read(self, path: str, *, api_key: str = API_KEY) -> tuple[int, Any]:
        return await self.ask("GET", path, headers={"Authorization": f"Bearer {api_key}"})

    async def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        return await self.ask(method, f"/_control{path}", json=body)

    async def as_product(
        self, method: str, path: str, body: Any = None, *, internal_key: str = NOTES_KEY
    ) -> tuple[int, Any]:
        return await self.ask(method, path, json=body, headers={"X-Internal-Key": internal_key})

    async def publish(self, *, api_key: str = API_KEY, **fields: Any) -> tuple[int, Any]:
        body = {
            "org_id": ORG,
            "source_product": "acme-notes",
            "record_type": "note",
            "source_ref": "n1",
            "title": "A note",
            **fields,
        }
        headers = {"Authorization": f"Bearer {api_key}"}
        return await self.ask("POST", "/v1/workspace-records", json=body, headers=headers)
