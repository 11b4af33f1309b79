"""Who is there: products, orgs, what each org may use, and whose a key is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.domain.model import Resource
from sidecar.domain.ports import Clock
from sidecar.local_platform.control_wire import ApiKey, Member, OrgBody
from sidecar.local_platform.seeds import Seed
from sidecar.local_platform.store import Store


@dataclass(frozen=True, slots=True)
class Org:
    """An org as the directory has it."""

    id: str
    name: str
    plan: str
    apps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProductCaller:
    """A product, known by its `bbas_` secret and by nothing that it says of itself."""

    product: str


@dataclass(frozen=True, slots=True)
class OrgCaller:
    """An org, by a `bbk_` key (`product` when bound to one) or by a user's session.

    `credential` names the key or the user without showing a secret.
    """

    org_id: str
    product: str | None
    credential: str
    can_read: bool = True
    can_write: bool = True


@dataclass(frozen=True, slots=True)
class Directory:
    """Products, orgs and keys in the store. Methods that change must run in a transaction."""

    _store: Store
    _clock: Clock

    # Products

    def product_of_key(self, internal_key: str) -> ProductCaller | None:
        """Return the product whose `bbas_` secret this is, or None."""
        sql = "SELECT slug FROM products WHERE key_digest = ?"
        found = self._store.row(sql, (digest(internal_key),))
        return None if found is None else ProductCaller(str(found[0]))

    def products(self) -> Mapping[str, str]:
        """Return every product: slug to name."""
        return dict(self._store.rows("SELECT slug, name FROM products ORDER BY slug"))

    # Orgs

    def org(self, org_id: str) -> Org | None:
        """Return an org, or None."""
        found = self._store.row("SELECT id, name, plan FROM orgs WHERE id = ?", (org_id,))
        if found is None:
            return None
        sql = "SELECT product FROM entitlements WHERE org_id = ? ORDER BY product"
        apps = tuple(app for (app,) in self._store.rows(sql, (org_id,)))
        return Org(found["id"], found["name"], found["plan"], apps)

    def orgs(self) -> Sequence[Org]:
        """Return every org, by id."""
        ids = self._store.rows("SELECT id FROM orgs ORDER BY id")
        return [org for (org_id,) in ids if (org := self.org(org_id)) is not None]

    def limits(self, org_id: str) -> Mapping[str, int]:
        """Return the limits that the org's plan names: resource to units."""
        sql = "SELECT resource, units FROM limits WHERE org_id = ? ORDER BY resource"
        return dict(self._store.rows(sql, (org_id,)))

    def member(self, org_id: str, user_id: str) -> Member | None:
        """Return a member of an org, or None."""
        return next((each for each in self.members(org_id) if each.user_id == user_id), None)

    def members(self, org_id: str) -> Sequence[Member]:
        """Return the members of an org, by user id."""
        columns = "user_id, email, full_name, role"
        sql = f"SELECT {columns} FROM members WHERE org_id = ? ORDER BY user_id"  # noqa: S608
        return [Member(**row) for row in self._store.rows(sql, (org_id,))]

    def org_of_key(self, api_key: str) -> OrgCaller | None:
        """Return the org whose `bbk_` key this is, or None."""
        key_digest = digest(api_key)
        sql = "SELECT org_id, can_read, can_write, product FROM api_keys WHERE digest = ?"
        found = self._store.row(sql, (key_digest,))
        if found is None:
            return None
        org_id, can_read, can_write, product = found
        credential = f"key:{key_digest.hex()}"
        return OrgCaller(org_id, product, credential, bool(can_read), bool(can_write))

    # Changes

    def apply(self, seed: Seed) -> None:
        """Lay a seed over what is there: what it names becomes as it says, the rest stays."""
        for product in seed.products:
            made = (product.slug, product.name or product.slug, digest(product.key))
            self._store.run(
                "INSERT INTO products VALUES (?, ?, ?) ON CONFLICT (slug) DO UPDATE "
                "SET name = excluded.name, key_digest = excluded.key_digest",
                made,
            )
        for org in seed.orgs:
            self._store.run("DELETE FROM limits WHERE org_id = ?", (org.id,))
            self.set_org(org.id, OrgBody(**{name: value for name, value in org if name != "id"}))

    def set_org(self, org_id: str, change: OrgBody) -> None:
        """Make or change an org; what `change` leaves out stays as it is.

        The products that it names must exist.
        """
        made = (org_id, org_id, "free", self._clock.time())
        self._store.run("INSERT INTO orgs VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", made)
        self._store.run(
            "UPDATE orgs SET name = coalesce(?, name), plan = coalesce(?, plan) WHERE id = ?",
            (change.name, change.plan, org_id),
        )
        if change.apps is not None:
            self._set_apps(org_id, change.apps)
        if change.quotas is not None:
            self._set_limits(org_id, change.quotas)
        if change.members is not None:
            self._set_members(org_id, change.members)
        if change.keys is not None:
            self._set_keys(org_id, change.keys)

    def _set_apps(self, org_id: str, apps: Iterable[str]) -> None:
        self._store.run("DELETE FROM entitlements WHERE org_id = ?", (org_id,))
        for app in dict.fromkeys(apps):
            self._store.run("INSERT INTO entitlements VALUES (?, ?)", (org_id, app))

    def _set_limits(self, org_id: str, limits: Mapping[Resource, int | None]) -> None:
        for resource, units in limits.items():
            if units is None:
                sql = "DELETE FROM limits WHERE org_id = ? AND resource = ?"
                self._store.run(sql, (org_id, resource.value))
            else:
                sql = "REPLACE INTO limits VALUES (?, ?, ?)"
                self._store.run(sql, (org_id, resource.value, units))

    def _set_members(self, org_id: str, members: Iterable[Member]) -> None:
        self._store.run("DELETE FROM members WHERE org_id = ?", (org_id,))
        for member in members:
            email = member.email or made_up_email(member.user_id)
            name = member.full_name or member.user_id
            self._store.run(
                "INSERT INTO members VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (org_id, member.user_id, email, name, member.role),
            )

    def _set_keys(self, org_id: str, keys: Iterable[ApiKey]) -> None:
        self._store.run("DELETE FROM api_keys WHERE org_id = ?", (org_id,))
        for key in keys:
            scopes = int("read" in key.scopes), int("write" in key.scopes)
            made = (digest(key.key), org_id, *scopes, key.product)
            self._store.run("INSERT INTO api_keys VALUES (?, ?, ?, ?, ?)", made)


def made_up_email(user_id: str) -> str:
    """Return an address for a user without one; the domain never resolves (RFC 2606)."""
    return f"{user_id}@example.invalid"


def digest(secret: str) -> bytes:
    """Return what is stored and looked up in place of a key.

    The keys are long and random, so a plain digest cannot be searched backwards; and comparing
    digests in the database reveals nothing of the key by its time.
    """
    # A header's bytes that are no UTF-8 arrive as surrogates; they make a digest like any other.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
