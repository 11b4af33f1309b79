"""Answers to webhook deliveries."""

from __future__ import annotations

import pytest

from sidecar.answers.deliveries import answer_delivery
from sidecar.domain.deliveries import DeliveryOutcome
from tests.unit.answers.shown import as_text
from tests.unit.golden.compare import assert_golden


@pytest.mark.parametrize("outcome", DeliveryOutcome)
def test_a_delivery_answer_reads_as_its_golden_file_says(outcome: DeliveryOutcome) -> None:
    """Under 300 is success to the platform; anything else it sends again."""
    assert_golden(f"deliveries/{outcome.value}.txt", as_text(answer_delivery(outcome)))
