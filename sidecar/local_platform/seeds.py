"""Seed files: which products, orgs and keys a local platform starts with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, StringConstraints, ValidationError

from sidecar.domain.errors import UserError
from sidecar.domain.model import UNLIMITED, Resource
from sidecar.local_platform.control_wire import ApiKey, ControlBody, Member
from sidecar.local_platform.credentials import new_api_key, new_internal_key
from sidecar.local_platform.wire import Limit, Name, OrgId, ResourceName, SlugText

SeedStep = str | int
SeedProblem = tuple[tuple[SeedStep, ...], str]
"""Where in the file, as keys and indexes, and what is wrong there."""


class SeedProduct(ControlBody):
    """A product and its `bbas_` secret."""

    slug: SlugText
    key: Annotated[str, StringConstraints(pattern=r"^bbas_[\x21-\x7e]{1,250}$")]
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
    return Seed(
        products=[SeedProduct(slug="demo", key=new_internal_key())],
        orgs=[
            SeedOrg(
                id="org_demo",
                plan="pro",
                apps=["demo"],
                quotas={
                    Resource.AI_CALLS: 25,
                    Resource.API_CALLS: UNLIMITED,
                    Resource.STORAGE_BYTES: 10 * 2**30,
                    Resource.SEATS: 5,
                },
                keys=[ApiKey(key=new_api_key(), product="demo")],
            )
        ],
    )


def load_seed(path: Path) -> Seed:
    """Read a seed file. Raises UserError naming each problem as `file:line: message`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"seed {path}: {error}; name a readable YAML file") from error
    return parse_seed(text, str(path))


def parse_seed(text: str, name: str) -> Seed:
    """Parse the text of a seed file called `name`; errors as `load_seed`."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        # By way of JSON, whose strictness knows enums written as text. A YAML date becomes text.
        content = json.dumps(yaml.safe_load(text), default=str)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        reason = getattr(error, "problem", None) or "not YAML"
        raise UserError(f"{name}:{line}: {reason}") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{name}:1: not plain data: {error}") from error
    problems: list[SeedProblem] = list(_repeated_keys(root, ()))
    seed: Seed | None = None
    try:
        seed = Seed.model_validate_json(content)
    except ValidationError as error:
        problems += [
            (tuple(step for step in item["loc"] if step != "[key]"), item["msg"])
            for item in error.errors(include_url=False, include_input=False)
        ]
    else:
        problems += _contradictions(seed)
    if problems or seed is None:
        raise UserError(
            "; ".join(
                f"{name}:{_line(root, where)}: {_said(where, what)}" for where, what in problems
            )
        )
    return seed


def check_seed(seed: Seed) -> None:
    """Refuse a seed made in code that contradicts itself. Raises UserError naming the fields."""
    problems = _contradictions(seed)
    if problems:
        raise UserError("; ".join(f"seed: {_said(where, what)}" for where, what in problems))


def _contradictions(seed: Seed) -> list[SeedProblem]:
    return [*_duplicates(seed), *_strangers(seed)]


def _duplicates(seed: Seed) -> Iterator[SeedProblem]:
    named: list[tuple[tuple[SeedStep, ...], str]] = []
    for index, product in enumerate(seed.products):
        named.append((("products", index, "slug"), product.slug))
        named.append((("products", index, "key"), product.key))
    for index, org in enumerate(seed.orgs):
        named.append((("orgs", index, "id"), org.id))
        named += [
            (("orgs", index, "keys", place, "key"), key.key) for place, key in enumerate(org.keys)
        ]
    seen: set[tuple[SeedStep, str]] = set()
    for where, value in named:
        kind = where[-1]
        if (kind, value) in seen:
            # A key is a secret: it is named by its place alone.
            what = "this key" if kind == "key" else repr(value)
            yield where, f"{what} is given twice; each must be unique"
        seen.add((kind, value))


def _strangers(seed: Seed) -> Iterator[SeedProblem]:
    known = [product.slug for product in seed.products]
    for index, org in enumerate(seed.orgs):
        for place, app in enumerate(org.apps):
            if app not in known:
                yield (
                    ("orgs", index, "apps", place),
                    f"no product {app!r}; the products are {', '.join(known)}",
                )
        for place, key in enumerate(org.keys):
            if key.product is not None and key.product not in org.apps:
                yield (
                    ("orgs", index, "keys", place, "product"),
                    f"{key.product!r} is not among the org's apps; add it there",
                )


def _said(where: Sequence[SeedStep], what: str) -> str:
    path = ".".join(str(step) for step in where)
    return f"{path}: {what}" if path else what


def _repeated_keys(node: yaml.Node | None, where: tuple[SeedStep, ...]) -> Iterator[SeedProblem]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                yield (*where, name), "this key is given twice in one mapping"
            seen.add(name)
            yield from _repeated_keys(value, (*where, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated_keys(value, (*where, index))


def _line(node: yaml.Node | None, where: Sequence[SeedStep]) -> int:
    """Return the line, from 1, of the deepest part of `where` that the file has."""
    line = 1
    for step in where:
        following: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if str(key.value) == str(step):
                    line, following = key.start_mark.line + 1, value
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value)
        ):
            following = node.value[step]
            line = following.start_mark.line + 1
        node = following
    return line
