"""How a call to the platform is made: its hosts, its keys, and the connections they go over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Final, Self, TypeVar

from sidecar.client.errors import CredentialMissingError, UnreadableAnswerError
from sidecar.client.members import MisreadError
from sidecar.client.transport import Patience, Request, Transport
from sidecar.settings.secret import BBAS_KEY, BBK_KEY, Secret
from sidecar.settings.values import parse_origin

Credential = Secret | str | Callable[[], str]
"""A key, or what returns the one in force: a file that is read again when it changes."""

T = TypeVar("T")

DEFAULT_URL: Final = "https://api.bizbasics.ai"
DEFAULT_AUTH_URL: Final = "https://auth.bizbasics.ai"


class PlatformCalls:
    """Makes calls with the keys that it has, for the time of an `async with` block."""

    def __init__(
        self,
        *,
        internal_key: Credential | None = None,
        api_key: Credential | None = None,
        url: str = DEFAULT_URL,
        auth_url: str = DEFAULT_AUTH_URL,
        patience: Patience | None = None,
        chance: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take the `bbas_` key of a product, the `bbk_` key of an org, or both.

        `chance` (0 to 1) and `sleep` are for tests. Raises ValueError for a URL that is none.
        """
        self._url = _origin(url)
        self._auth_url = _origin(auth_url)
        self._internal_key = _reader(internal_key)
        self._api_key = _reader(api_key)
        self._transport = Transport(patience or Patience(), chance=chance, sleep=sleep)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._transport.close()

    def _get(self, path: str, **query: str | int | None) -> Request:
        given = {name: str(value) for name, value in query.items() if value is not None}
        return Request("GET", self._url, path, repeatable=True, query=given)

    def _post(
        self, path: str, body: Mapping[str, object] | None, *, repeatable: bool = False
    ) -> Request:
        return Request("POST", self._url, path, repeatable=repeatable, body=body)

    def _as_product(self, request: Request) -> Request:
        if self._internal_key is None:
            raise CredentialMissingError(
                f"{request.name} needs the product's {BBAS_KEY}: give `internal_key`"
            )
        headers = {"X-Internal-Key": self._internal_key()}
        return replace(request, headers=headers, key=BBAS_KEY)

    def _as_org(self, request: Request) -> Request:
        if self._api_key is None:
            raise CredentialMissingError(f"{request.name} needs an org's {BBK_KEY}: give `api_key`")
        headers = {"Authorization": f"Bearer {self._api_key()}"}
        return replace(request, headers=headers, key=BBK_KEY)

    async def _ask(self, request: Request, read: Callable[[object], T]) -> T:
        return (await self._ask_dated(request, read))[0]

    async def _ask_dated(
        self, request: Request, read: Callable[[object], T]
    ) -> tuple[T, float | None]:
        """Return the server's clock too."""
        reply = await self._transport.ask(request)
        try:
            return read(reply.value), reply.date
        except MisreadError as error:
            raise UnreadableAnswerError(
                request.name, "the answer is not as documented", detail=str(error)
            ) from error


def _origin(url: str) -> str:
    try:
        return parse_origin(url).url
    except ValueError as problem:
        raise ValueError(f"a platform URL {problem}") from None


def _reader(credential: Credential | None) -> Callable[[], str] | None:
    match credential:
        case None:
            return None
        case Secret():
            return credential.reveal
        case str():
            return Secret(credential).reveal
        case _:
            return credential
