"""Faults that a test asks for: what they are, which requests they hit, how an answer is spoilt."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any, Final, assert_never

import orjson
from pydantic import BeforeValidator, Field

from sidecar.domain.quota import UNLIMITED
from sidecar.local_platform.control_wire import ControlBody

CONTROL_PREFIX: Final = "/_control"
API_PREFIX: Final = "/v1/"


class Malformed(StrEnum):
    """How an answer is spoilt."""

    HTML = "html"  # a page of some proxy in between, with status 200
    EMPTY = "empty"  # no body at all
    TRUNCATED = "truncated"  # the first half of the JSON, whole as far as HTTP goes
    HALF = "half"  # the first half of what Content-Length promised, then the connection is cut
    WRONG_TYPES = "wrong_types"  # numbers and booleans as text
    MISSING_FIELDS = "missing_fields"  # every other field is gone, the first one too
    NEGATIVE = "negative"  # every number below -1
    OVER_LIMIT = "over_limit"  # remaining greater than limit


def _kind(malformed: object) -> object:
    """Read true as html, and false as none."""
    if isinstance(malformed, bool):
        return Malformed.HTML if malformed else None
    return malformed


class Faults(ControlBody):
    """`PUT /_control/faults`: what goes wrong from now on; it replaces what was set before.

    `latency_ms` delays every answer, after the work was done. `error_rate` is the share of
    requests that the other faults hit (1 when left out); where no other is named, those get
    `status` 500. Of several faults: `hang` (nothing is counted, no answer until the faults are
    cleared), else `status` (nothing is counted), else `drop_after_commit` (counted, then the
    connection is cut), else `malformed` (counted, the answer spoilt; true means html).
    `store_down` changes what the answer says, whichever way it is delivered. `paths` are the
    prefixes that are hit, `/v1/` when left out, and never `/_control`. `seed` makes the choice
    of the requests hit repeatable.
    """

    latency_ms: Annotated[float, Field(ge=0, le=3_600_000, allow_inf_nan=False)] = 0
    error_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    status: Annotated[int, Field(ge=200, le=599)] | None = None
    hang: bool = False
    drop_after_commit: bool = False
    store_down: bool = False
    malformed: Annotated[Malformed | None, Field(strict=False), BeforeValidator(_kind)] = None
    paths: Annotated[list[Annotated[str, Field(pattern=r"^/")]], Field(min_length=1)] | None = None
    seed: int = 0

    @property
    def failing(self) -> bool:
        """Whether anything beside latency is asked for."""
        flags = (self.hang, self.status, self.drop_after_commit, self.store_down, self.malformed)
        return any(flags)


NO_FAULTS: Final = Faults()


class FaultBox:
    """The faults in force, and the requests held up by them."""

    def __init__(self) -> None:
        self.current = NO_FAULTS
        self._random = random.Random(0)  # noqa: S311  # which request fails, repeatably
        self._changed = asyncio.Event()

    def show(self) -> Faults:
        """The faults in force."""
        return self.current

    def set(self, body: Faults) -> Faults:
        """Replace the faults; requests that hung under the old ones end."""
        self.current = body
        self._random = random.Random(body.seed)  # noqa: S311  # as above
        self._changed.set()
        self._changed = asyncio.Event()
        return body

    def clear(self) -> Faults:
        """Clear the faults."""
        return self.set(NO_FAULTS)

    async def held_up(self) -> None:
        """Wait until the faults are set again or cleared."""
        await self._changed.wait()

    def of(self, path: str) -> Faults:
        """Return the faults that a request for `path` meets."""
        faults = self.current
        prefixes = (API_PREFIX,) if faults.paths is None else tuple(faults.paths)
        if is_control(path) or not path.startswith(prefixes):
            return NO_FAULTS
        if faults.error_rate is not None and self._random.random() >= faults.error_rate:
            return Faults(latency_ms=faults.latency_ms)
        if faults.error_rate is not None and not faults.failing:
            return Faults(latency_ms=faults.latency_ms, status=HTTPStatus.INTERNAL_SERVER_ERROR)
        return faults


def is_control(path: str) -> bool:
    """Whether a path belongs to the control of the local platform, which faults never hit."""
    return path == CONTROL_PREFIX or path.startswith(f"{CONTROL_PREFIX}/")


def spoil(body: bytes, kind: Malformed) -> tuple[bytes, str]:
    """Return a JSON body spoilt, and its content type."""
    match kind:
        case Malformed.HTML:
            return b"<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"
        case Malformed.EMPTY:
            spoilt = b""
        case Malformed.TRUNCATED | Malformed.HALF:
            spoilt = body[: len(body) // 2]
        case Malformed.WRONG_TYPES:
            spoilt = orjson.dumps(_each(orjson.loads(body), _as_text))
        case Malformed.MISSING_FIELDS:
            spoilt = orjson.dumps(_without_fields(orjson.loads(body)))
        case Malformed.NEGATIVE:
            spoilt = orjson.dumps(_each(orjson.loads(body), _negative))
        case Malformed.OVER_LIMIT:
            spoilt = orjson.dumps(_each(orjson.loads(body), _over_limit))
        case _:
            assert_never(kind)
    return spoilt, "application/json"


def _each(value: Any, change: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # any JSON
    """Return JSON with every value changed, the innermost first."""
    if isinstance(value, dict):
        value = {name: _each(item, change) for name, item in value.items()}
    elif isinstance(value, list):
        value = [_each(item, change) for item in value]
    return change(value)


def _as_text(value: Any) -> Any:  # noqa: ANN401  # any JSON
    return str(value).lower() if isinstance(value, int | float) else value


def _without_fields(value: Any) -> Any:  # noqa: ANN401  # any JSON
    return dict(list(value.items())[1::2]) if isinstance(value, dict) else value


def _negative(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return UNLIMITED - 1 - abs(value)  # -1 would mean unlimited, and not be malformed


def _over_limit(value: Any) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(value, dict) and "remaining" in value and isinstance(value.get("limit"), int):
        return {**value, "remaining": max(value["limit"], 0) + 1}
    return value
