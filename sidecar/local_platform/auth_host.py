"""The auth host: mints and checks `bb_at` tokens, publishes and rotates keys (contract, Auth)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.control_wire import (
    Member,
    RotateBody,
    RotateReply,
    TokenBody,
    TokenReply,
)
from sidecar.local_platform.directory import Directory, made_up_email
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.signing import SigningKeys, make_signing_key
from sidecar.local_platform.wire import KeySetReply, VerifyTokenQuery, VerifyTokenReply


@dataclass(frozen=True, slots=True)
class AuthHost:
    """Tokens, with claims from the directory and the quota book, and the keys that sign them.

    `issuer` is the `iss` of tokens; None takes the URL that the caller reached the platform by.
    """

    _directory: Directory
    _book: QuotaBook
    _keys: SigningKeys
    _clock: Clock
    _issuer: str | None

    def key_set(self) -> KeySetReply:
        """The public keys that tokens are verified with."""
        return KeySetReply(keys=list(self._keys.published()))

    def verify(self, query: VerifyTokenQuery) -> VerifyTokenReply:
        """Who a token speaks for."""
        claims = self._keys.verify(query.token)
        org = self._directory.org(claims["org_id"])
        if org is None:
            raise Rejection(HTTPStatus.UNAUTHORIZED, "token not accepted: its org is gone")
        user_id = claims["user_id"]
        member = self._directory.member(org.id, user_id)
        return VerifyTokenReply(
            user_id=user_id,
            email=str(claims.get("email", "")),
            full_name=(member and member.full_name) or user_id,
            org_id=org.id,
            role=str(claims.get("role", choices.DEFAULT_ROLE)),
            # As they are now: the token's own list is as old as the token.
            apps=list(org.apps),
            plan=org.plan,
            is_platform_admin=claims.get("is_platform_admin") is True,
        )

    async def rotate(self, body: RotateBody) -> RotateReply:
        """Sign with a new key from now on."""
        pem = await asyncio.to_thread(make_signing_key)
        kid = self._keys.rotate(pem, withdraw=body.withdraw)
        return RotateReply(kid=kid, published=[key.kid for key in self._keys.published()])

    def mint(self, body: TokenBody, base_url: str) -> TokenReply:
        """Sign an access token for a user of an org; Rejection when there is no such org."""
        org = self._directory.org(body.org_id)
        if org is None:
            known = ", ".join(each.id for each in self._directory.orgs())
            raise Rejection(
                choices.UNKNOWN_ORG, f"no org {body.org_id!r}; the orgs are {known or 'none'}"
            )
        member = self._member(body)
        now = int(self._clock.time())
        quotas = self._book.quotas(org.id)
        claims: dict[str, Any] = {
            "user_id": member.user_id,
            "email": member.email,
            "org_id": org.id,
            "role": body.role or member.role,
            "plan": org.plan,
            "apps": list(org.apps),
            # The same shape as quota status [ours].
            "quotas": {name: state.model_dump() for name, state in quotas.items()},
            "iss": self._issuer or base_url,
            "iat": now,
            "exp": now + (choices.TOKEN_SECONDS if body.ttl is None else body.ttl),
        }
        for name, value in (body.claims or {}).items():
            if value is None:
                claims.pop(name, None)
            else:
                claims[name] = value
        return TokenReply(token=self._keys.sign(claims))

    def _member(self, body: TokenBody) -> Member:
        user_id = body.user_id
        if user_id is None:
            members = self._directory.members(body.org_id)
            user_id = members[0].user_id if members else choices.DEFAULT_USER
        known = self._directory.member(body.org_id, user_id)
        return known or Member(
            user_id=user_id, email=made_up_email(user_id), role=choices.DEFAULT_ROLE
        )
