"""`/_control`: what only a local platform has, for callers on this machine (interface)."""

from __future__ import annotations

import asyncio
import re

from sidecar.local_platform.access import FROM_THIS_MACHINE
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


def control_endpoints(
    book: QuotaBook,
    changes: OrgChanges,
    faults: FaultBox,
    keys: SigningKeys,
    mint: Mint,
    *,
    issuer: str | None,
) -> list[AnyEndpoint]:
    """Return the control of tokens, faults, orgs and keys, and the list of what was counted.

    They are no part of the schema. `issuer` is the `iss` of tokens; None takes the URL that the
    caller reached the platform by.
    """

    async def token(asked: Asked[None, TokenBody, NoQuery]) -> TokenReply:
        """Sign an access token."""
        return TokenReply(token=mint.mint(asked.body, issuer or asked.base_url))

    async def show_faults(_asked: Asked[None, NoBody, NoQuery]) -> Faults:
        """The faults in force."""
        return faults.current

    async def set_faults(asked: Asked[None, Faults, NoQuery]) -> Faults:
        """Replace the faults."""
        faults.set(asked.body)
        return faults.current

    async def clear_faults(_asked: Asked[None, NoBody, NoQuery]) -> Faults:
        """Clear the faults."""
        faults.clear()
        return faults.current

    async def put_org(asked: Asked[None, OrgBody, NoQuery]) -> OrgReply:
        """Make or change an org."""
        org_id = asked.path["id"]
        if not re.match(ORG_ID, org_id):
            raise bad_field("path", "id", IN_WORDS[ORG_ID])
        org = changes.put(org_id, asked.body)
        return OrgReply(
            org_id=org.id,
            name=org.name,
            plan=org.plan,
            apps=list(org.apps),
            quotas=book.status(org.id),
        )

    async def rotate(asked: Asked[None, RotateBody, NoQuery]) -> RotateReply:
        """Sign with a new key from now on."""
        pem = await asyncio.to_thread(make_signing_key)
        kid = keys.rotate(pem, withdraw=asked.body.withdraw)
        return RotateReply(kid=kid, published=[key.kid for key in keys.published()])

    async def consumes(asked: Asked[None, NoBody, ConsumesQuery]) -> ConsumesReply:
        """What was counted."""
        return ConsumesReply(list(book.counted(asked.query.org_id)))

    return [
        Endpoint("POST /_control/token", token, FROM_THIS_MACHINE),
        Endpoint("GET /_control/faults", show_faults, FROM_THIS_MACHINE),
        Endpoint("PUT /_control/faults", set_faults, FROM_THIS_MACHINE),
        Endpoint("DELETE /_control/faults", clear_faults, FROM_THIS_MACHINE),
        Endpoint("PUT /_control/orgs/{id}", put_org, FROM_THIS_MACHINE),
        Endpoint("POST /_control/rotate-keys", rotate, FROM_THIS_MACHINE, body_may_be_empty=True),
        Endpoint("GET /_control/consumes", consumes, FROM_THIS_MACHINE),
    ]
