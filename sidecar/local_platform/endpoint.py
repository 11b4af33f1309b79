"""An endpoint as one value: who may call it, what it takes and gives, and what it does.

The same values serve the requests and make the OpenAPI schema, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, TypeVar, get_args, get_type_hints

from aiohttp import web
from pydantic import BaseModel, ValidationError

from sidecar.local_platform.access import AccessKind
from sidecar.local_platform.rejection import bad_field, misfit
from sidecar.local_platform.wire import NoBody, Query, RequestBody

C = TypeVar("C")
B = TypeVar("B", bound=RequestBody)
Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True)
class Asked(Generic[C, B, Q]):
    """A request that was admitted and fits the schema.

    `base_url` is how the caller reached the platform; `store_down` is a fault asked for.
    """

    caller: C
    body: B
    query: Q
    path: Mapping[str, str]
    base_url: str
    store_down: bool


class Endpoint(Generic[C]):
    """One method and path, such as `GET /health`, and the function `act` that answers it.

    Body, query and reply are the types in the annotations of `act`; its docstring is the summary.
    `rejects` are the statuses beside those of access and schema.
    """

    def __init__(
        self,
        method_and_path: str,
        act: Callable[[Asked[C, Any, Any]], Awaitable[BaseModel]],
        access: AccessKind[C],
        *,
        status: HTTPStatus = HTTPStatus.OK,
        rejects: tuple[HTTPStatus, ...] = (),
        body_may_be_empty: bool = False,
    ) -> None:
        self.method, self.path = method_and_path.split()
        self.act = act
        self.access = access
        self.status = status
        self.rejects = rejects
        self.body_may_be_empty = body_may_be_empty
        asked, reply = get_type_hints(act).values()
        self.body: type[RequestBody]
        self.query: type[Query]
        _, self.body, self.query = get_args(asked)
        self.reply: type[BaseModel] = reply
        self.summary = (act.__doc__ or "").removesuffix(".")

    @property
    def takes_body(self) -> bool:
        """Whether a body is read at all."""
        return self.body is not NoBody

    async def read(
        self, request: web.Request, caller: C, *, store_down: bool
    ) -> Asked[C, Any, Any]:
        """Validate the request of an admitted caller. Raises Rejection (422)."""
        query = self._query(request)
        body = self._body(await request.read() if self.takes_body else b"{}")
        base_url = f"{request.scheme}://{request.host}"
        return Asked(caller, body, query, request.match_info, base_url, store_down)

    def _query(self, request: web.Request) -> Query:
        given = request.query
        for name in given:
            if name in self.query.model_fields and len(given.getall(name)) > 1:
                raise bad_field("query", name, "given more than once")
        try:
            return self.query.model_validate(dict(given))
        except ValidationError as error:
            raise misfit(error, "query") from error

    def _body(self, raw: bytes) -> RequestBody:
        if not raw and self.body_may_be_empty:
            raw = b"{}"
        try:
            return self.body.model_validate_json(raw)
        except ValidationError as error:
            raise misfit(error, "body") from error


AnyEndpoint = Endpoint[Any]
"""An endpoint in a list, where its kind of caller no longer matters."""
