"""The door of aiohttp.web applications: a middleware, and a signal that marks each answer."""

from __future__ import annotations

import asyncio
import warnings
from typing import Final

from aiohttp import ClientError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from multidict import CIMultiDict

from sidecar.domain.model import AttemptEnd, Call, Headers
from sidecar.frontends.aiohttp_answer import AiohttpAttempt
from sidecar.frontends.bodies import (
    ClientLeftError,
    HeldBody,
    body_of,
    replaced_by_asking,
)
from sidecar.frontends.door import ID_FIELD, Door
from sidecar.frontends.fields import decided_on, field_of, without_ours
from sidecar.frontends.handle import QuotaHandle
from sidecar.frontends.opening import DoorSource
from sidecar.settings.embedded import HostedSettings
from sidecar.usage.settled_answer import SettledAnswer

QUOTA: Final = "quota"

_DECODED: Final = frozenset({b"gzip", b"deflate", b"br", b"zstd"})
"""Content codings that aiohttp takes off a body before any handler reads it."""


_ATTEMPT: Final = web.RequestKey("attempt", AiohttpAttempt)


class AiohttpGuard:
    """Decides on each call of an application. `middleware` and `mark` are put into it."""

    def __init__(
        self, doors: DoorSource, deadlines: HostedSettings, *, trust_request_ids: bool
    ) -> None:
        """Ask `doors`; `trust_request_ids`: a proxy sets X-Request-ID on every call."""
        self._doors = doors
        self._deadlines = deadlines
        self._trusted = trust_request_ids

    @property
    def middleware(self) -> Middleware:
        """The middleware: it calls the handler of an admitted call, or answers in its place."""

        @web.middleware
        async def meter(request: web.Request, handler: Handler) -> web.StreamResponse:
            return await self._answer(request, handler)

        return meter

    async def mark(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Put our fields into the head of an admitted call's answer, just before it is sent."""
        attempt = request.get(_ATTEMPT)
        if attempt is not None:
            attempt.mark(response)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        door = await self._doors.door()
        fields = without_ours(request.raw_headers)
        body = self._body(door, request, fields)
        call = self._call(door, request, fields)
        try:
            visit = await door.enter(call, body)
        except ClientLeftError:
            return web.Response(status=400)
        refusal = visit.answer
        if refusal is not None:
            body.let_go()
            visit.end(refusal.status)
            shown = CIMultiDict((n.decode(), v.decode("latin-1")) for n, v in refusal.headers)
            return web.Response(status=refusal.status, headers=shown, body=refusal.body)
        try:
            given = _given(request, fields, call, body, visit.settled)
            _put_back(given, body)
        except BaseException:
            body.let_go()
            visit.end(0, AttemptEnd.UNREACHED)
            raise
        attempt = AiohttpAttempt(visit, request)
        request[_ATTEMPT] = given[_ATTEMPT] = attempt
        with warnings.catch_warnings():
            # aiohttp recommends its own kind of keys; a text is what users can write.
            warnings.simplefilter("ignore", web.NotAppKeyWarning)
            given[QUOTA] = QuotaHandle(visit)
        visit.begin()
        try:
            response = await handler(given)
        except web.HTTPException as answer:
            attempt.answered(answer, request)
            raise
        except asyncio.CancelledError:
            attempt.end()  # the client has left, and the handler has run
            raise
        except Exception:
            attempt.failed(request)
            raise
        attempt.answered(response, request)
        return response

    def _call(self, door: Door, request: web.Request, headers: Headers) -> Call:
        request_id, origin = door.request_id(field_of(headers, ID_FIELD), trusted=self._trusted)
        url = request.rel_url
        return Call(
            request.method,
            url.raw_path,
            url.raw_query_string,
            decided_on([field for field in headers if not _is_decoded(field)]),
            request_id,
            origin,
        )

    def _body(self, door: Door, request: web.Request, fields: Headers) -> HeldBody:
        async def pull() -> tuple[bytes, bool]:
            try:
                piece = await request.content.readany()
            except (ClientError, HttpProcessingError, OSError, web.RequestPayloadError) as error:
                raise ClientLeftError("the body broke off") from error
            return piece, bool(piece)

        whole = not request.can_read_body
        return body_of(pull, door.memory, fields, self._deadlines, whole=whole)


def _is_decoded(field: tuple[bytes, bytes]) -> bool:
    return field[0] == b"content-encoding" and field[1].lower() in _DECODED


def _given(
    request: web.Request,
    kept: Headers,
    call: Call,
    body: HeldBody,
    settled: SettledAnswer | None,
) -> web.Request:
    """Return the request for the handler, with the fields that are `kept`.

    They ask for an answer that can be read, and
    maybe for its usage, where the call is settled by it.
    """
    fields = kept
    if settled is not None:
        fields = replaced_by_asking(settled, call.path, kept, body)
    if fields == kept and len(kept) == len(request.raw_headers):
        return request
    headers = CIMultiDict((name.decode("latin-1"), _text(value)) for name, value in fields)
    return request.clone(headers=headers)


def _text(value: bytes) -> str:
    """Read a field's value as aiohttp does; one that is no UTF-8 it could not put in a request."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _put_back(request: web.Request, body: HeldBody) -> None:
    """Let the handler read what was read for the amount, by whatever method it reads."""
    pieces = []
    while (piece := body.take()) is not None:
        pieces.append(piece)
    if pieces:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there is no other way
            request.content.unread_data(b"".join(pieces))
    body.let_go()
