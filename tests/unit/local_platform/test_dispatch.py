"""Errors as bodies: of aiohttp's making, and of our own."""

from __future__ import annotations

import io
import logging

import pytest

from sidecar.local_platform import LocalPlatform
from tests.unit.local_platform import acme


async def test_an_unknown_path_has_the_platforms_error_body(caller: acme.Caller) -> None:
    """404, with `detail`."""
    assert await caller.ask("GET", "/v2/nothing") == (404, {"detail": "Not Found"})


async def test_an_unknown_method_says_which_are_known(caller: acme.Caller) -> None:
    """405 with Allow (RFC 9110, 15.5.6)."""
    async with caller.session.get(caller.url + "/v1/quota/consume") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert "detail" in await answer.json()


@pytest.mark.parametrize(
    ("method", "path", "scheme"),
    [("GET", "/v1/catalog", "Bearer"), ("POST", "/v1/quota/consume", "InternalKey")],
)
async def test_a_401_says_which_credential_is_asked_for(
    caller: acme.Caller, method: str, path: str, scheme: str
) -> None:
    """It must (RFC 9110, 15.5.2)."""
    async with caller.session.request(method, caller.url + path) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].partition(" ")[0] == scheme


async def test_a_body_too_long_is_413(caller: acme.Caller) -> None:
    """More than a mebibyte is not read."""
    status, _ = await caller.ask(
        "POST",
        "/v1/quota/consume",
        data=io.BytesIO(b" " * (1 << 21)),
        headers={"X-Internal-Key": acme.NOTES_KEY},
    )

    assert status == 413


async def test_a_fault_of_our_own_is_logged_and_told_without_its_inside(
    caller: acme.Caller, platform: LocalPlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """500 with the platform's error body; the traceback is in the log alone."""
    platform._up.store.run("ALTER TABLE limits RENAME TO lost")

    with caplog.at_level(logging.ERROR):
        status, body = await caller.consume()

    assert status == 500
    assert "limits" not in body["detail"]
    assert "no such table" in caplog.text


async def test_a_caller_that_was_not_admitted_is_in_nobodys_list(caller: acme.Caller) -> None:
    """A wrong key is no credential to list by."""
    await caller.read("/v1/catalog", api_key="bbk_wrong")

    _, body = await caller.read("/v1/dev/api-requests")
    assert body["requests"] == []
