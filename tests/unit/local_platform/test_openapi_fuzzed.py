"""Schemathesis against the schema: what it allows is accepted, what it forbids is refused.

The platform runs in a thread of its own, because Schemathesis calls it synchronously.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, assume, given, settings
from schemathesis import GenerationMode

from sidecar.local_platform import LocalPlatform
from tests.unit.local_platform import acme

OPERATIONS = [
    ("POST", "/v1/quota/consume"),
    ("GET", "/v1/quota/status"),
    ("GET", "/v1/quota/breakdown"),
    ("POST", "/v1/workspace-records"),
    ("GET", "/v1/workspace-records"),
    ("GET", "/v1/catalog"),
    ("GET", "/v1/org/retrieve"),
    ("POST", "/v1/webhooks"),
    ("POST", "/v1/webhooks/{id}/test"),
    ("GET", "/v1/dev/api-requests"),
    ("GET", "/v1/dev/webhook-deliveries"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/api/v1/internal/verify-app-token"),
    ("GET", "/health"),
    ("GET", "/ready"),
]
FORBIDDING = [
    operation
    for operation in OPERATIONS
    if operation[0] == "POST" or operation[1].endswith(("records", "requests", "deliveries"))
]
FRAMING = frozenset(
    {"connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"}
)
CREDENTIALS = {
    "X-Internal-Key": acme.NOTES_KEY,
    "Authorization": f"Bearer {acme.API_KEY}",
}


@pytest.fixture(scope="module")
def platform_url() -> Iterator[str]:
    """The URL of a platform in another thread."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()
    urls: list[str] = []

    async def run() -> None:
        async with LocalPlatform(seed=acme.seed()) as platform:
            urls.append(platform.url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(10)
    yield urls[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture(scope="module")
def api(platform_url: str) -> schemathesis.BaseSchema:
    """The schema as the platform serves it."""
    return schemathesis.openapi.from_url(f"{platform_url}/openapi.json")


def test_every_operation_is_here(api: schemathesis.BaseSchema) -> None:
    """The list above is the schema's own; where it came from is not asked again."""
    paths = api.raw_schema["paths"].items()
    known = {(method.upper(), path) for path, item in paths for method in item}

    assert known == {*OPERATIONS, ("GET", "/openapi.json")}


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_the_schema_allows(api: schemathesis.BaseSchema, method: str, path: str) -> None:
    """No crash, no undocumented status, no answer out of its schema, nothing fitting refused."""
    fuzz(api, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), FORBIDDING)
def test_what_the_schema_forbids(api: schemathesis.BaseSchema, method: str, path: str) -> None:
    """No misfit is let in."""
    fuzz(api, method, path, GenerationMode.NEGATIVE)


def fuzz(api: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode) -> None:
    """Call an operation with generated requests, and hold each answer against the schema."""

    @given(case=api[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    def call(case: schemathesis.Case[Any]) -> None:
        # Made-up framing is refused by the server, before there is an operation.
        assume(FRAMING.isdisjoint(map(str.lower, case.headers or {})))
        if isinstance(case.body, dict) and isinstance(case.body.get("amount"), float):
            # JSON Schema takes 1.0 for a whole number, the platform does not [ours].
            case.body["amount"] = 1
        case.call_and_validate(headers=CREDENTIALS)

    call()
