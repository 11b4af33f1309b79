"""The admin port's side of HTTP that no application handler sees: requests that are not HTTP."""

from __future__ import annotations

import logging

import orjson
from aiohttp import web
from aiohttp.web_request import BaseRequest
from typing_extensions import override

_log = logging.getLogger("sidecar.admin")

SERVER_NAME = "bb-sidecar"
"""The Server field: what answers, and no version of it."""


class AdminProtocol(web.RequestHandler):
    """Answers what cannot be parsed as everything else is answered.

    The library's own answer names its version and Python's, repeats what was sent, and logs a
    traceback for each: a port scanner's noise.
    """

    __slots__ = ()

    @override
    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer {"detail"}, close, and log one line. Raises where an answer was begun already."""
        _log.info("admin_bad_request", extra={"status": status, "repeat_key": request.remote})
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun: the connection can only be closed")
        response = web.Response(
            status=status,
            body=orjson.dumps({"detail": "not a request that this port understands"}),
            content_type="application/json",
            headers={"Server": SERVER_NAME, "Cache-Control": "no-store"},
        )
        response.force_close()
        return response
