"""How one member of a JSON object becomes a field of a result: the words of `results`. Pure.

Strict about what the contract publishes; lenient about what it does not: what is missing there, or
of another type, is None or empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

from sidecar.domain.quota import Quota, read_instant, read_quota
from sidecar.settings.secret import Secret

Members = Mapping[str, object]
MemberReader = Callable[[Members, str], object]
"""Reads the member of this name. Raises MisreadError."""


class MisreadError(ValueError):
    """The answer lacks what it must have; the text names the field."""


def members_of(value: object, what: str = "the answer") -> Members:
    """Return a JSON object's members. Raises MisreadError."""
    if not isinstance(value, dict):
        raise MisreadError(f"{what} is no object")
    return value


def quota_of(answer: Members, resource: str) -> Quota:
    """Read a whole quota. Raises MisreadError."""
    quota = read_quota(answer, resource)
    if quota is None:
        raise MisreadError(
            f"the quota of {resource} is not whole: it has limit, used, remaining, period, reset_at"
        )
    return quota


def named(*names: str) -> MemberReader:
    """Read the first text of these names: the contract publishes none of them [ours]."""

    def read(members: Members, _: str) -> str:
        found = (members.get(name) for name in names)
        text = next((each for each in found if isinstance(each, str) and each), None)
        if text is None:
            raise MisreadError(f"no {' or '.join(f'`{name}`' for name in names)}")
        return text

    return read


def or_else(default: object, *kinds: type) -> MemberReader:
    """Read what is exactly of these types; `default` for all else."""
    return lambda members, name: found if type(found := members.get(name)) in kinds else default


def _must_be(kind: type, words: str) -> MemberReader:
    def read(members: Members, name: str) -> object:
        found = members.get(name)
        if type(found) is not kind:
            raise MisreadError(f"`{name}` is no {words}")
        return found

    return read


def _texts(members: Members, name: str) -> tuple[str, ...]:
    if not isinstance(members.get(name), list):
        raise MisreadError(f"`{name}` is no list")
    return _any_texts(members, name)


def _any_texts(members: Members, name: str) -> tuple[str, ...]:
    found = members.get(name)
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()


def _instant(members: Members, name: str) -> float | None:
    found = members.get(name)
    return read_instant(found) if isinstance(found, str) else None


def _quotas(members: Members, name: str) -> Mapping[str, Quota]:
    return {
        resource: quota_of(members_of(quota, f"`{name}`.{resource}"), resource)
        for resource, quota in members_of(members.get(name), f"`{name}`").items()
    }


def _products(members: Members, name: str) -> Mapping[str, Mapping[str, Quota]]:
    products = members_of(members.get(name), f"`{name}`")
    return {product: _quotas(products, product) for product in products}


def _secret(members: Members, name: str) -> Secret:
    return Secret(str(_text(members, name)))


_text = _must_be(str, "text")

GivenText = Annotated[str, _text]
Flag = Annotated[bool, _must_be(bool, "boolean")]
Whole = Annotated[int, _must_be(int, "whole number")]
Texts = Annotated[tuple[str, ...], _texts]
AnyTexts = Annotated[tuple[str, ...], _any_texts]
AnyText = Annotated[str, or_else("", str)]
MaybeText = Annotated[str | None, or_else(None, str)]
MaybeWhole = Annotated[int | None, or_else(None, int)]
MaybeNumber = Annotated[float | None, or_else(None, int, float)]
Instant = Annotated[float | None, _instant]
QuotaMap = Annotated[Mapping[str, Quota], _quotas]
ProductQuotas = Annotated[Mapping[str, Mapping[str, Quota]], _products]
HiddenText = Annotated[Secret, _secret]
