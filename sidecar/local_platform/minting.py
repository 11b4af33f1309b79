"""What a `bb_at` says: the claims of the contract, from the directory and the quota book."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sidecar.domain.ports import Clock
from sidecar.local_platform import choices
from sidecar.local_platform.control_wire import TokenBody
from sidecar.local_platform.directory import Directory, Person, made_up_email
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.signing import SigningKeys


@dataclass(frozen=True, slots=True)
class Mint:
    """Makes access tokens."""

    _directory: Directory
    _book: QuotaBook
    _keys: SigningKeys
    _clock: Clock

    def mint(self, asked: TokenBody, issuer: str) -> str:
        """Return a signed token for a user of an org; Rejection when there is no such org."""
        org = self._directory.org(asked.org_id)
        if org is None:
            known = ", ".join(each.id for each in self._directory.orgs())
            raise Rejection(
                choices.UNKNOWN_ORG, f"no org {asked.org_id!r}; the orgs are {known or 'none'}"
            )
        person = self._person(asked)
        now = int(self._clock.time())
        quotas = self._book.status(org.id)
        claims: dict[str, Any] = {
            "user_id": person.user_id,
            "email": person.email,
            "org_id": org.id,
            "role": asked.role or person.role,
            "plan": org.plan,
            "apps": list(org.apps),
            # The same shape as quota status [ours].
            "quotas": {name: state.model_dump() for name, state in quotas.items()},
            "iss": issuer,
            "iat": now,
            "exp": now + (choices.TOKEN_SECONDS if asked.ttl is None else asked.ttl),
        }
        for name, value in (asked.claims or {}).items():
            if value is None:
                claims.pop(name, None)
            else:
                claims[name] = value
        return self._keys.sign(claims)

    def _person(self, asked: TokenBody) -> Person:
        user_id = asked.user_id
        if user_id is None:
            people = self._directory.people(asked.org_id)
            user_id = people[0].user_id if people else choices.DEFAULT_USER
        known = self._directory.person(asked.org_id, user_id)
        return known or Person(user_id, made_up_email(user_id), user_id, choices.DEFAULT_ROLE)
