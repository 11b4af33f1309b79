"""Frozen values that are made in every request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """Make a dataclass that the type checker holds frozen, without the guard at run time.

    That guard sets every field through a call: a `Decision` takes 1.1 us to make with it and 0.25
    without, and a metered request makes nine values. Any other value is a `dataclass(frozen=True)`.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
