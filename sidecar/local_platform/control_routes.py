"""`/_control`: what only a local platform has, for callers on this machine (interface)."""

from __future__ import annotations

import asyncio

from pydantic import TypeAdapter, ValidationError

from sidecar.local_platform.access import FromThisMachine
from sidecar.local_platform.control_wire import (
    ConsumesQuery,
    ConsumesReply,
    OrgBody,
    OrgReply,
    RotateBody,
    RotateReply,
    TokenBody,
    TokenReply,
)
from sidecar.local_platform.endpoint import AnyEndpoint, Asked, Endpoint
from sidecar.local_platform.faults import FaultBox, Faults
from sidecar.local_platform.minting import Mint
from sidecar.local_platform.org_changes import OrgChanges
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import bad_field
from sidecar.local_platform.signing import SigningKeys, make_signing_key
from sidecar.local_platform.wire import NoBody, NoQuery, OrgId

_ORG_ID: TypeAdapter[str] = TypeAdapter(OrgId)


class ControlRoutes:
    """Tokens, faults, orgs, keys, and the list of what was counted."""

    def __init__(
        self,
        *,
        book: QuotaBook,
        changes: OrgChanges,
        faults: FaultBox,
        keys: SigningKeys,
        mint: Mint,
        issuer: str | None,
    ) -> None:
        """`issuer` is the `iss` of tokens; None takes the URL that the caller reached us by."""
        self._book = book
        self._changes = changes
        self._faults = faults
        self._keys = keys
        self._mint = mint
        self._issuer = issuer

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints; they are no part of the API's schema."""
        access = FromThisMachine()
        return [
            Endpoint(
                method="POST",
                path="/_control/token",
                summary="Sign an access token",
                access=access,
                body=TokenBody,
                query=NoQuery,
                reply=TokenReply,
                act=self._token,
            ),
            Endpoint(
                method="GET",
                path="/_control/faults",
                summary="The faults in force",
                access=access,
                body=NoBody,
                query=NoQuery,
                reply=Faults,
                act=self._show_faults,
            ),
            Endpoint(
                method="PUT",
                path="/_control/faults",
                summary="Replace the faults",
                access=access,
                body=Faults,
                query=NoQuery,
                reply=Faults,
                act=self._set_faults,
            ),
            Endpoint(
                method="DELETE",
                path="/_control/faults",
                summary="Clear the faults",
                access=access,
                body=NoBody,
                query=NoQuery,
                reply=Faults,
                act=self._clear_faults,
            ),
            Endpoint(
                method="PUT",
                path="/_control/orgs/{id}",
                summary="Make or change an org",
                access=access,
                body=OrgBody,
                query=NoQuery,
                reply=OrgReply,
                act=self._put_org,
            ),
            Endpoint(
                method="POST",
                path="/_control/rotate-keys",
                summary="Sign with a new key from now on",
                access=access,
                body=RotateBody,
                query=NoQuery,
                reply=RotateReply,
                act=self._rotate,
                body_may_be_empty=True,
            ),
            Endpoint(
                method="GET",
                path="/_control/consumes",
                summary="What was counted",
                access=access,
                body=NoBody,
                query=ConsumesQuery,
                reply=ConsumesReply,
                act=self._consumes,
            ),
        ]

    async def _token(self, asked: Asked[None, TokenBody, NoQuery]) -> TokenReply:
        return TokenReply(token=self._mint.mint(asked.body, self._issuer or asked.base_url))

    async def _show_faults(self, _asked: Asked[None, NoBody, NoQuery]) -> Faults:
        return self._faults.current

    async def _set_faults(self, asked: Asked[None, Faults, NoQuery]) -> Faults:
        self._faults.set(asked.body)
        return self._faults.current

    async def _clear_faults(self, _asked: Asked[None, NoBody, NoQuery]) -> Faults:
        self._faults.clear()
        return self._faults.current

    async def _put_org(self, asked: Asked[None, OrgBody, NoQuery]) -> OrgReply:
        try:
            org_id = _ORG_ID.validate_python(asked.path["id"])
        except ValidationError as error:
            raise bad_field("path", "id", error.errors()[0]["msg"]) from error
        org = self._changes.put(org_id, asked.body)
        return OrgReply(
            org_id=org.id,
            name=org.name,
            plan=org.plan,
            apps=list(org.apps),
            quotas=self._book.status(org.id),
        )

    async def _rotate(self, asked: Asked[None, RotateBody, NoQuery]) -> RotateReply:
        pem = await asyncio.to_thread(make_signing_key)
        kid = self._keys.rotate(pem, withdraw=asked.body.withdraw)
        return RotateReply(kid=kid, published=[key.kid for key in self._keys.published()])

    async def _consumes(self, asked: Asked[None, NoBody, ConsumesQuery]) -> ConsumesReply:
        return ConsumesReply(list(self._book.counted(asked.query.org_id)))
