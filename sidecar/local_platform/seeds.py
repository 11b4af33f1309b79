"""Seed files: which products, orgs and keys a local platform starts with."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, ValidationError

from sidecar.domain.errors import UserError
from sidecar.domain.model import Resource
from sidecar.domain.quota import UNLIMITED
from sidecar.local_platform.control_wire import ApiKey, ControlBody, Member
from sidecar.local_platform.rejection import in_words
from sidecar.local_platform.wire import PRODUCT_KEY, Limit, Name, OrgId, ResourceName, SlugText
from sidecar.policy.source import Where, read_document


class SeedProduct(ControlBody):
    """A product and its `bbas_` secret."""

    slug: SlugText
    key: Annotated[str, StringConstraints(pattern=PRODUCT_KEY)]
    name: Name | None = None


class SeedOrg(ControlBody):
    """An org: its plan, the products it has, its limits (-1: unlimited), keys and people."""

    id: OrgId
    name: Name | None = None
    plan: Name = "free"
    apps: list[SlugText] = Field(default_factory=list)
    quotas: dict[ResourceName, Limit] = Field(default_factory=dict)
    keys: list[ApiKey] = Field(default_factory=list)
    members: list[Member] = Field(default_factory=list)


class Seed(ControlBody):
    """All that a local platform starts with."""

    products: Annotated[list[SeedProduct], Field(min_length=1)]
    orgs: list[SeedOrg] = Field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        """A digest of the content: a seed is laid over a database once, and again if it changed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def default_seed() -> Seed:
    """Return one product, one org and fresh keys: what a platform without a seed file gets."""
    quotas = {
        Resource.AI_CALLS: 25,
        Resource.API_CALLS: UNLIMITED,
        Resource.STORAGE_BYTES: 10 * 2**30,
        Resource.SEATS: 5,
    }
    keys = [ApiKey(key=f"bbk_{secrets.token_urlsafe(24)}", product="demo")]
    return Seed(
        products=[SeedProduct(slug="demo", key=f"bbas_{secrets.token_urlsafe(24)}")],
        orgs=[SeedOrg(id="org_demo", plan="pro", apps=["demo"], quotas=quotas, keys=keys)],
    )


def load_seed(path: Path) -> Seed:
    """Read a seed file. Raises UserError with each problem as `file:line:column: message`."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"seed {path}: {error.strerror}; name a readable YAML file") from error
    return parse_seed(data, str(path))


def parse_seed(data: bytes, name: str) -> Seed:
    """Parse the bytes of a seed file called `name`; errors as `load_seed`."""
    if not data.strip():
        raise UserError(f"{name}:1:1: the file is empty; a seed starts with `products:`")
    document = read_document(data, name)
    seed: Seed | None = None
    if not document.problems:
        try:
            seed = Seed.model_validate(document.value)
        except ValidationError as error:
            for item in error.errors(include_url=False, include_input=False):
                where = tuple(step for step in item["loc"] if step != "[key]")
                named = "[key]" in item["loc"] or item["type"] == "extra_forbidden"
                document.problem(where, _said(where, in_words(item)), key=named)
        else:
            for where, what in _contradictions(seed):
                document.problem(where, _said(where, what))
    if document.problems or seed is None:
        raise UserError("\n".join(str(problem) for problem in document.problems))
    return seed


def check_seed(seed: Seed) -> None:
    """Refuse a seed made in code that contradicts itself. Raises UserError naming the fields."""
    problems = [f"seed: {_said(where, what)}" for where, what in _contradictions(seed)]
    if problems:
        raise UserError("\n".join(problems))


def _contradictions(seed: Seed) -> Iterator[tuple[Where, str]]:
    known = [product.slug for product in seed.products]
    unique: list[tuple[Where, str]] = []
    for index, product in enumerate(seed.products):
        unique.append((("products", index, "slug"), product.slug))
        unique.append((("products", index, "key"), product.key))
    for index, org in enumerate(seed.orgs):
        here = ("orgs", index)
        unique.append(((*here, "id"), org.id))
        for place, app in enumerate(org.apps):
            if app not in known:
                products = ", ".join(known)
                yield (*here, "apps", place), f"no product {app!r}; the products are {products}"
        for place, key in enumerate(org.keys):
            unique.append(((*here, "keys", place, "key"), key.key))
            if key.product is not None and key.product not in org.apps:
                yield (
                    (*here, "keys", place, "product"),
                    f"{key.product!r} is not among the org's apps; add it there",
                )
    seen: set[tuple[str | int, str]] = set()
    for where, value in unique:
        kind = where[-1]
        if (kind, value) in seen:
            # A key is a secret: it is named by its place alone.
            what = "this key" if kind == "key" else repr(value)
            yield where, f"{what} is given twice; each must be unique"
        seen.add((kind, value))


def _said(where: Where, what: str) -> str:
    path = ".".join(str(step) for step in where)
    return f"{path}: {what}" if path else what
