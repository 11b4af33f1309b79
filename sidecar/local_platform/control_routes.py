"""`/_control`: what only a local platform has, for callers on this machine (interface)."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

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
from sidecar.local_platform.wire import IN_WORDS, ORG_ID, NoBody, NoQuery


@dataclass(frozen=True, slots=True)
class ControlRoutes:
    """Tokens, faults, orgs, keys, and the list of what was counted.

    `_issuer` is the `iss` of tokens; None takes the URL that the caller reached the platform by.
    """

    _book: QuotaBook
    _changes: OrgChanges
    _faults: FaultBox
    _keys: SigningKeys
    _mint: Mint
    _issuer: str | None

    def endpoints(self) -> list[AnyEndpoint]:
        """Return the endpoints; they are no part of the API's schema."""
        access = FromThisMachine()
        return [
            Endpoint("POST /_control/token", self._token, access),
            Endpoint("GET /_control/faults", self._show_faults, access),
            Endpoint("PUT /_control/faults", self._set_faults, access),
            Endpoint("DELETE /_control/faults", self._clear_faults, access),
            Endpoint("PUT /_control/orgs/{id}", self._put_org, access),
            Endpoint("POST /_control/rotate-keys", self._rotate, access, body_may_be_empty=True),
            Endpoint("GET /_control/consumes", self._consumes, access),
        ]

    async def _token(self, asked: Asked[None, TokenBody, NoQuery]) -> TokenReply:
        """Sign an access token."""
        return TokenReply(token=self._mint.mint(asked.body, self._issuer or asked.base_url))

    async def _show_faults(self, _asked: Asked[None, NoBody, NoQuery]) -> Faults:
        """The faults in force."""
        return self._faults.current

    async def _set_faults(self, asked: Asked[None, Faults, NoQuery]) -> Faults:
        """Replace the faults."""
        self._faults.set(asked.body)
        return self._faults.current

    async def _clear_faults(self, _asked: Asked[None, NoBody, NoQuery]) -> Faults:
        """Clear the faults."""
        self._faults.clear()
        return self._faults.current

    async def _put_org(self, asked: Asked[None, OrgBody, NoQuery]) -> OrgReply:
        """Make or change an org."""
        org_id = asked.path["id"]
        if not re.match(ORG_ID, org_id):
            raise bad_field("path", "id", IN_WORDS[ORG_ID])
        org = self._changes.put(org_id, asked.body)
        return OrgReply(
            org_id=org.id,
            name=org.name,
            plan=org.plan,
            apps=list(org.apps),
            quotas=self._book.status(org.id),
        )

    async def _rotate(self, asked: Asked[None, RotateBody, NoQuery]) -> RotateReply:
        """Sign with a new key from now on."""
        pem = await asyncio.to_thread(make_signing_key)
        kid = self._keys.rotate(pem, withdraw=asked.body.withdraw)
        return RotateReply(kid=kid, published=[key.kid for key in self._keys.published()])

    async def _consumes(self, asked: Asked[None, NoBody, ConsumesQuery]) -> ConsumesReply:
        """What was counted."""
        return ConsumesReply(list(self._book.counted(asked.query.org_id)))
