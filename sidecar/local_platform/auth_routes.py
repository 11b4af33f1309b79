"""The auth host's endpoints: the key set and the check of a token (contract, Auth)."""

from __future__ import annotations

from http import HTTPStatus

from sidecar.local_platform import choices
from sidecar.local_platform.access import EVERYONE, AccessKind, ProductCaller
from sidecar.local_platform.directory import Directory
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.signing import SigningKeys
from sidecar.local_platform.wire import (
    KeySetReply,
    NoBody,
    NoQuery,
    VerifyTokenQuery,
    VerifyTokenReply,
)


def auth_endpoints(
    keys: SigningKeys, directory: Directory, product: AccessKind[ProductCaller]
) -> list[AnyEndpoint]:
    """Return what the sidecar and the products ask of the auth host."""

    async def key_set(_asked: Asked[None, NoBody, NoQuery]) -> KeySetReply:
        """The public keys that tokens are verified with."""
        return KeySetReply(keys=list(keys.published()))

    async def verify(asked: Asked[ProductCaller, NoBody, VerifyTokenQuery]) -> VerifyTokenReply:
        """Who a token speaks for."""
        claims = keys.verify(asked.query.token)
        org = directory.org(claims["org_id"])
        if org is None:
            raise Rejection(HTTPStatus.UNAUTHORIZED, "token not accepted: its org is gone")
        user_id = claims["user_id"]
        person = directory.person(org.id, user_id)
        return VerifyTokenReply(
            user_id=user_id,
            email=str(claims.get("email", "")),
            full_name=user_id if person is None else person.full_name,
            org_id=org.id,
            role=str(claims.get("role", choices.DEFAULT_ROLE)),
            # As they are now: the token's own list is as old as the token.
            apps=list(org.apps),
            plan=org.plan,
            is_platform_admin=claims.get("is_platform_admin") is True,
        )

    return [
        Endpoint("GET /.well-known/jwks.json", key_set, EVERYONE),
        Endpoint("GET /api/v1/internal/verify-app-token", verify, product),
    ]
