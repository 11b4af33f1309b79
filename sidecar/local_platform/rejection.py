"""How a route says no: a status and the `detail` of the platform's error body."""

from __future__ import annotations

from http import HTTPStatus

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from sidecar.domain.errors import SidecarError
from sidecar.local_platform.wire import IN_WORDS


class Rejection(SidecarError):  # noqa: N818  # what it is called at every raise
    """A request that the platform answers with an error: `{"detail": …}` (contract, Endpoints).

    `credential` is whose it was, where that is known of a caller who was not admitted.
    """

    def __init__(
        self, status: HTTPStatus, detail: JsonValue, *, credential: str | None = None
    ) -> None:
        super().__init__(f"{status.value}: {detail}")
        self.status = status
        self.detail = detail
        self.credential = credential


def bad_field(place: str, field: str, message: str) -> Rejection:
    """Return the 422 for one field; `place` is body, query or path."""
    return Rejection(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        [{"loc": [place, field], "msg": message, "type": "value_error"}],
    )


def misfit(error: ValidationError, place: str) -> Rejection:
    """Return the 422 for what does not fit the schema; what was sent may be a secret: not shown."""
    items = error.errors(include_url=False, include_input=False)
    return Rejection(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        [
            {"loc": [place, *item["loc"]], "msg": in_words(item), "type": item["type"]}
            for item in items
        ],
    )


def in_words(item: ErrorDetails) -> str:
    """Return pydantic's message, in words where it would be a pattern."""
    return IN_WORDS.get(item.get("ctx", {}).get("pattern", ""), item["msg"])
