"""What is worked out once for each rule of the policy, and found again by the rule itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

from sidecar.domain.usage import UsageRule

RULES_KEPT: Final = 1024
"""Rules whose results are kept; what a reload leaves behind goes first."""

T = TypeVar("T")


class ByRule(Generic[T]):
    """Results by the identity of their rule: comparing two rules costs more than most results."""

    def __init__(self, make: Callable[[UsageRule], T]) -> None:
        self._make = make
        self._kept: dict[int, tuple[UsageRule, T]] = {}

    def of(self, rule: UsageRule) -> T:
        """Return the result for a rule."""
        found = self._kept.get(id(rule))  # the rule is kept with it, so no other has its id
        return self._add(rule) if found is None else found[1]

    def _add(self, rule: UsageRule) -> T:
        if len(self._kept) >= RULES_KEPT:
            del self._kept[next(iter(self._kept))]
        result = self._make(rule)
        self._kept[id(rule)] = (rule, result)
        return result
