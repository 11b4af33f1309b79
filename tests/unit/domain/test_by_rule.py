"""What is worked out once for each rule."""

from __future__ import annotations

from sidecar.domain.by_rule import RULES_KEPT, ByRule
from sidecar.domain.usage import UsageRule
from tests.unit.admission.usage_rules import rule


def test_a_rule_s_result_is_worked_out_once() -> None:
    """Another rule, though it is equal, has a result of its own."""
    made: list[UsageRule] = []

    def note(of: UsageRule) -> int:
        made.append(of)
        return len(made)

    kept = ByRule(note)
    one, other = rule(), rule()
    assert [kept.of(each) for each in (one, other, one, other)] == [1, 2, 1, 2]
    assert made[0] is one
    assert made[1] is other


def test_results_are_bounded() -> None:
    """What reloads leave behind goes."""
    kept = ByRule(lambda _: object())
    first = rule()
    found = kept.of(first)
    others = [rule() for _ in range(RULES_KEPT)]
    for each in others:
        kept.of(each)
    assert kept.of(first) is not found
