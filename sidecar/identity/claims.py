"""A token's claims, read into an `Identity`. Pure, and without time: see `tokens.judge`."""

from __future__ import annotations

import re
from typing import Any, Final

from sidecar.domain.credentials import IdentityFailure
from sidecar.domain.model import Identity
from sidecar.domain.quota import Quota, read_quota

_END_OF_TIME: Final = 253_402_300_799
"""9999-12-31T23:59:59Z: a later time is milliseconds, a joke or an attack."""

_ORG_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
"""Visible ASCII without spaces: it becomes a header's value, a label and a key of the books."""

_TEXT: Final = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e]{0,254}[\x21-\x7e])?)?")
"""ASCII that a header's value carries unchanged: no control bytes, no space at either end."""


def read_claims(members: dict[str, Any], issuer: str | None) -> Identity | IdentityFailure:
    """Read the claims of the contract (The access token); with `issuer`, `iss` must equal it.

    Texts that no header could carry unchanged are BAD_CLAIMS rather than escaped: two texts must
    never become the same org or user upstream. A null optional text is an absent one.
    """
    if issuer is not None and members.get("iss") != issuer:
        return IdentityFailure.WRONG_ISSUER
    expires_at = _time(members.get("exp"))
    not_before = _time(members.get("nbf"))
    issued_at = _time(members.get("iat"))
    if (
        expires_at is None
        or ("nbf" in members and not_before is None)
        or ("iat" in members and issued_at is None)
    ):
        return IdentityFailure.BAD_CLAIMS
    org_id = members.get("org_id")
    user_id = _text(members.get("user_id"))
    role = _text(members.get("role"))
    plan = _text(members.get("plan"))
    apps = _apps(members.get("apps"))
    if not isinstance(org_id, str) or _ORG_ID.fullmatch(org_id) is None:
        return IdentityFailure.BAD_CLAIMS
    if user_id is None or role is None or plan is None or apps is None:
        return IdentityFailure.BAD_CLAIMS
    return Identity(
        org_id=org_id,
        user_id=user_id,
        role=role,
        plan=plan,
        apps=apps,
        quotas=_quotas(members.get("quotas")),
        issued_at=issued_at,
        expires_at=expires_at,
        not_before=not_before,
    )


def _time(value: object) -> float | None:
    """Read a NumericDate (RFC 7519 section 2); None when it is not one within the calendar."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= _END_OF_TIME else None


def _text(value: object) -> str | None:
    if value is None:
        return ""
    if not isinstance(value, str) or _TEXT.fullmatch(value) is None:
        return None
    return value


def _apps(value: object) -> frozenset[str] | None:
    if value is None:
        return frozenset()
    if not isinstance(value, list) or not all(isinstance(app, str) for app in value):
        return None
    return frozenset(value)


def _quotas(value: object) -> dict[str, Quota]:
    """Read the snapshot leniently: it only informs, so a bad entry is left out, never an error."""
    if not isinstance(value, dict):
        return {}
    read = (
        (resource, read_quota(members, resource))
        for resource, members in value.items()
        if isinstance(members, dict)
    )
    return {resource: quota for resource, quota in read if quota is not None}
