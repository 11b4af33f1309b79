"""Who may call what: each kind of access returns the caller of a request, or rejects it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.domain.loopback import host_of, is_loopback
from sidecar.local_platform import choices
from sidecar.local_platform.directory import Directory, OrgCaller, ProductCaller
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.signing import SigningKeys

INTERNAL_KEY_SCHEME: Final = "internalKey"
API_KEY_SCHEME: Final = "apiKey"
COOKIE_SCHEME: Final = "session"


Caller = ProductCaller | OrgCaller | None
"""None where no credential is asked for."""


@dataclass(frozen=True, slots=True)
class AccessKind:
    """A kind of access: which credentials it takes, and the caller that they name.

    `admit` returns the caller, or raises Rejection with one of `statuses`. `schemes`: the security
    schemes of OpenAPI, any one of which will do.
    """

    admit: Callable[[web.Request], Caller]
    schemes: tuple[str, ...] = ()
    statuses: tuple[HTTPStatus, ...] = ()


EVERYONE: Final = AccessKind(lambda _: None)


def by_internal_key(directory: Directory) -> AccessKind:
    """Take `X-Internal-Key: bbas_…`; 401 for none, an unknown one, or two."""

    def admit(request: web.Request) -> ProductCaller:
        keys = request.headers.getall("X-Internal-Key", [])
        product = directory.product_of_key(keys[0]) if len(keys) == 1 else None
        if product is None:
            raise Rejection(
                HTTPStatus.UNAUTHORIZED, "X-Internal-Key must be the bbas_ secret of a product"
            )
        return product

    return AccessKind(admit, (INTERNAL_KEY_SCHEME,), (HTTPStatus.UNAUTHORIZED,))


def by_api_key(directory: Directory, keys: SigningKeys, *, write: bool) -> AccessKind:
    """Take `Authorization: Bearer bbk_…`, or the platform's cookie in a browser (contract, Hosts).

    401 without a good credential, 403 when the key lacks the scope.
    """

    def admit(request: web.Request) -> OrgCaller:
        given = request.headers.getall("Authorization", [])
        if given:
            return _of_key(directory, given, write=write)
        for name in choices.SESSION_COOKIES:
            token = request.cookies.get(name)
            if token:
                claims = keys.verify(token)
                org_id, user_id = claims["org_id"], claims["user_id"]
                if directory.org(org_id) is None:
                    raise _not_authenticated()
                return OrgCaller(org_id, None, f"user:{org_id}:{user_id}")
        raise _not_authenticated()

    statuses = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    return AccessKind(admit, (API_KEY_SCHEME, COOKIE_SCHEME), statuses)


def _of_key(directory: Directory, given: list[str], *, write: bool) -> OrgCaller:
    scheme, _, secret = given[0].partition(" ")
    if len(given) != 1 or scheme.lower() != "bearer":
        raise _not_authenticated()
    caller = directory.org_of_key(secret.strip())
    if caller is None:
        raise _not_authenticated()
    if not (caller.can_write if write else caller.can_read):
        scope = "write" if write else "read"
        raise Rejection(
            HTTPStatus.FORBIDDEN,
            f"this key lacks the scope {scope!r}",
            credential=caller.credential,
        )
    return caller


def _admit_local(request: web.Request) -> None:
    """Admit a local peer that names this machine; 403 for any other.

    The socket's own peer counts, never a header. A foreign Host is a name that was pointed
    here (DNS rebinding); a foreign Origin is another site's page.
    """
    peer = request.transport and request.transport.get_extra_info("peername")
    if not (isinstance(peer, tuple) and is_loopback(str(peer[0]))):
        raise Rejection(HTTPStatus.FORBIDDEN, "only for callers on this machine")
    hosts = request.headers.getall("Host", [])
    host = host_of(hosts[0]) if len(hosts) == 1 else ""
    if not (host == "localhost" or is_loopback(host)):
        raise Rejection(HTTPStatus.FORBIDDEN, "Host must be localhost or a loopback address")
    origins = request.headers.getall("Origin", [])
    if any(origin != f"http://{hosts[0]}" for origin in origins):
        raise Rejection(HTTPStatus.FORBIDDEN, "not for pages of another origin")


FROM_THIS_MACHINE: Final = AccessKind(_admit_local, statuses=(HTTPStatus.FORBIDDEN,))
"""Only loopback peers, and no page of another site in a browser on this machine."""


def _not_authenticated() -> Rejection:
    return Rejection(
        HTTPStatus.UNAUTHORIZED, "needs Authorization: Bearer bbk_… or the platform's cookie"
    )
