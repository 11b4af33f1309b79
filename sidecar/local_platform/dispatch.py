"""From a request to its answer: faults, admission, the endpoint's act, and errors as bodies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http import HTTPStatus

import orjson
from aiohttp import web

from sidecar.local_platform import choices
from sidecar.local_platform.access import API_KEY_SCHEME
from sidecar.local_platform.directory import OrgCaller
from sidecar.local_platform.endpoint import Endpoint
from sidecar.local_platform.faults import FaultBox, Faults, Malformed, spoil
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.request_log import RequestLog

WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)

_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED)


def handler_of(endpoint: Endpoint, faults: FaultBox, requests: RequestLog) -> WebHandler:
    """Return the aiohttp handler that serves `endpoint` under `faults`, noted in `requests`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        met = faults.of(request.path)
        if met.hang:
            await faults.held_up()
            return _cut(request)
        if met.status is not None:
            answer = _error(met.status, "a fault was asked for")
        else:
            answer = await _answer(endpoint, request, met, requests)
        # Late rather than slow: what is counted is counted before a caller's patience ends, which
        # is the case that a caller must survive.
        await asyncio.sleep(met.latency_ms / 1000)
        if met.status is None and met.drop_after_commit:
            return _cut(request)
        if met.status is None and met.malformed is not None:
            return await _spoilt(request, answer, met.malformed)
        return answer

    return handle


async def _answer(
    endpoint: Endpoint, request: web.Request, met: Faults, requests: RequestLog
) -> web.Response:
    began = time.perf_counter()
    credential: str | None = None
    try:
        caller = endpoint.access.admit(request)
        if isinstance(caller, OrgCaller):
            credential = caller.credential
        reply = await endpoint.answer(request, caller, store_down=met.store_down)
        answer = _json(endpoint.status, reply.model_dump_json().encode())
    except Rejection as rejection:
        answer = _error(rejection.status, rejection.detail)
        if rejection.status is HTTPStatus.UNAUTHORIZED:
            # A 401 must name the credential (RFC 9110, 15.5.2).
            bearer = API_KEY_SCHEME in endpoint.access.schemes
            challenge = "Bearer" if bearer else choices.INTERNAL_KEY_CHALLENGE
            answer.headers["WWW-Authenticate"] = challenge
        credential = credential or rejection.credential
    if credential is not None:
        seconds = time.perf_counter() - began
        requests.note(credential, request.method, request.path, answer.status, seconds)
    return answer


@web.middleware
async def errors_as_bodies(request: web.Request, handler: WebHandler) -> web.StreamResponse:
    """Give every error the platform's body: also aiohttp's, and an exception of ours."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        answer = _error(error.status, error.reason)
        if isinstance(error, web.HTTPMethodNotAllowed):
            answer.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return answer
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _error(HTTPStatus.INTERNAL_SERVER_ERROR, "the local platform failed; see its log")


def _error(status: int, detail: object) -> web.Response:
    if status in _BODILESS:
        return web.Response(status=status)
    return _json(status, orjson.dumps({"detail": detail}))


def _json(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json")


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    # aiohttp wants an answer; the connection that it would go to is gone.
    return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR)


async def _spoilt(
    request: web.Request, answer: web.Response, kind: Malformed
) -> web.StreamResponse:
    whole = answer.body if isinstance(answer.body, bytes) else b""
    body, content_type = spoil(whole, kind)
    if kind is not Malformed.HALF:
        return web.Response(status=answer.status, body=body, content_type=content_type)
    half = web.StreamResponse(status=answer.status)
    half.content_type = content_type
    half.content_length = len(whole)
    with suppress(ConnectionError):  # the client may have left
        await half.prepare(request)
        await half.write(body)
    if request.transport is not None:
        request.transport.close()
    return half
