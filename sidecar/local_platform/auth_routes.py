"""The auth host's endpoints: the key set and the check of a token (contract, Auth)."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from sidecar.local_platform import choices
from sidecar.local_platform.access import AccessKind, Everyone, ProductCaller
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


@dataclass(frozen=True, slots=True)
class AuthRoutes:
    """What the sidecar and the products ask of the auth host."""

    _keys: SigningKeys
    _directory: Directory
    _product: AccessKind[ProductCaller]

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints, for serving and for the schema."""
        return [
            Endpoint("GET /.well-known/jwks.json", self._key_set, Everyone()),
            Endpoint("GET /api/v1/internal/verify-app-token", self._verify, self._product),
        ]

    async def _key_set(self, _asked: Asked[None, NoBody, NoQuery]) -> KeySetReply:
        """The public keys that tokens are verified with."""
        return KeySetReply(keys=list(self._keys.published()))

    async def _verify(
        self, asked: Asked[ProductCaller, NoBody, VerifyTokenQuery]
    ) -> VerifyTokenReply:
        """Who a token speaks for."""
        claims = self._keys.verify(asked.query.token)
        org = self._directory.org(claims["org_id"])
        if org is None:
            raise Rejection(HTTPStatus.UNAUTHORIZED, "token not accepted: its org is gone")
        user_id = claims["user_id"]
        person = self._directory.person(org.id, user_id)
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
