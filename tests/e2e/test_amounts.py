"""Amounts that are read from bodies, through the whole chain: what is charged, and what goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from sidecar.domain.model import Reason
from tests.codings import compressed
from tests.e2e.harness import policy, stack
from tests.e2e.test_reasons import assert_problem

COMPLETE = "/api/v1/complete"


def priced(**amount: Any) -> str:
    """Return a policy whose only route reads its amount."""
    meter = {"amount": amount, "body_limit": 100_000}
    return policy(routes=[{"name": "priced", "match": {"path": COMPLETE}, "meter": meter}])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_a_compressed_body_is_charged_and_passed_on_as_it_came(coding: str) -> None:
    """The price is that of the text, the product gets the bytes and their coding."""
    body = compressed(b'{"n":3,"x":"' + b"y" * 50_000 + b'"}', coding)
    async with stack(policy=priced(json="/n", max=4)) as s:
        headers = {"content-encoding": coding, "content-type": "application/json"}
        await s.call(COMPLETE, content=body, headers=headers)
        [execution] = s.upstream.executions
        assert execution.header("content-encoding") == coding
        assert execution.header("content-length") == str(len(body))
        assert s.charges() == 3


async def test_a_coding_that_is_not_read_is_refused_with_those_that_are() -> None:
    """415 and `Accept-Encoding` (RFC 9110, 12.5.3); too long once decoded is 413."""
    async with stack(policy=priced(json="/n", max=4)) as s:
        answer = await s.call(COMPLETE, content=b"x", headers={"content-encoding": "br"})
        assert_problem(answer, Reason.BAD_REQUEST, 415)
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd"
        bomb = compressed(b'{"n":3,"x":"' + b"y" * 10_000_000 + b'"}', "gzip")
        assert len(bomb) < 20_000
        answer = await s.call(COMPLETE, content=bomb, headers={"content-encoding": "gzip"})
        assert_problem(answer, Reason.BAD_REQUEST, 413)
        assert "accept-encoding" not in answer.headers
        assert (s.charges(), s.executions()) == (0, 0)


async def test_prompts_are_counted_and_multiplied() -> None:
    """So many answers to each prompt; null is the default; over the maximum is 422."""
    times = {"json": "/prompt", "count": True}
    async with stack(policy=priced(json="/n", default=1, max=8, times=times)) as s:
        for body, charges in (
            ({"n": 2, "prompt": ["a", "b", "c"]}, 6),
            ({"n": None, "prompt": ["a", "b"]}, 8),
            ({"n": 3, "prompt": "a"}, 11),
        ):
            await s.call(COMPLETE, json=body)
            assert s.charges() == charges
        answer = await s.call(COMPLETE, json={"n": 3, "prompt": ["a", "b", "c"]})
        assert_problem(answer, Reason.BAD_REQUEST, 422)
        assert (s.charges(), s.executions()) == (11, 3)


async def test_a_body_in_chunks_is_charged_and_passed_on() -> None:
    """And has structure enough for many slices."""
    body = b'{"x":[' + b"{}," * 5_000 + b'{}],"n":2}'

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 997):
            yield body[at : at + 997]

    async with stack(policy=priced(json="/n", max=4)) as s:
        await s.call(COMPLETE, content=chunks())
        [execution] = s.upstream.executions
        assert execution.header("transfer-encoding") == "chunked"
        assert s.charges() == 2
