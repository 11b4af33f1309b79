"""An endpoint as one value: who may call it, and the function that answers it.

The same values serve the requests and make the OpenAPI schema, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from inspect import isawaitable
from typing import Any, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sidecar.local_platform.access import AccessKind, Caller
from sidecar.local_platform.rejection import bad_field, misfit
from sidecar.local_platform.wire import Query, RequestBody


class Endpoint:
    """One method and path, such as `GET /health`, and the function `act` that answers it.

    `act` takes what its parameters name: `caller`, `body`, `query`, a parameter of the path,
    `base_url` (how the caller reached the platform) and `store_down` (a fault asked for). Body,
    query and reply are the models in its annotations; its docstring begins with the summary.
    `rejects` are the statuses beside those of access and schema.
    """

    def __init__(
        self,
        method_and_path: str,
        act: Callable[..., BaseModel | Awaitable[BaseModel]],
        access: AccessKind,
        *,
        status: HTTPStatus = HTTPStatus.OK,
        rejects: tuple[HTTPStatus, ...] = (),
        body_may_be_empty: bool = False,
    ) -> None:
        self.method, self.path = method_and_path.split()
        self.access = access
        self.status = status
        self.rejects = rejects
        models = get_type_hints(act)
        self.reply: type[BaseModel] = models.pop("return")
        self.body: type[RequestBody] | None = models.get("body")
        self.query: type[Query] | None = models.get("query")
        self.summary = (act.__doc__ or "").partition("\n")[0].removesuffix(".")
        self._act = act
        self._takes = tuple(models)
        self._body_may_be_empty = body_may_be_empty

    async def answer(self, request: web.Request, caller: Caller, *, store_down: bool) -> BaseModel:
        """Answer an admitted caller. Raises Rejection, 422 for what does not fit the schema."""
        given: dict[str, Any] = {
            "caller": caller,
            "base_url": f"{request.scheme}://{request.host}",
            "store_down": store_down,
            **request.match_info,
        }
        if self.query is not None:
            given["query"] = _read_query(self.query, request)
        if self.body is not None:
            given["body"] = self._read_body(self.body, await request.read())
        reply = self._act(**{name: given[name] for name in self._takes})
        return await reply if isawaitable(reply) else reply

    def _read_body(self, model: type[RequestBody], raw: bytes) -> RequestBody:
        if not raw and self._body_may_be_empty:
            raw = b"{}"
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            raise misfit(error, "body") from error


def _read_query(model: type[Query], request: web.Request) -> Query:
    given = request.query
    for name in given:
        if name in model.model_fields and len(given.getall(name)) > 1:
            raise bad_field("query", name, "given more than once")
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        raise misfit(error, "query") from error
