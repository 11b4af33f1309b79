"""Scalars from their bytes."""

from __future__ import annotations

import pytest

from sidecar.policy.json_pointer import JsonValue, Opaque
from sidecar.policy.json_values import MAX_TEXT, decoded_string, scalar_of


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"0", 0), (b"-7", -7), (b"1.5", 1.5), (b"2e3", 2000.0), (b'"a\\n"', "a\n"),
        (b'"' + b"x" * (MAX_TEXT - 2) + b'"', "x" * (MAX_TEXT - 2)),
        (b'"' + b"x" * (MAX_TEXT - 1) + b'"', Opaque()),
    ],
)  # fmt: skip
def test_scalars(raw: bytes, value: JsonValue) -> None:
    """Whole numbers stay whole, and a text that is too long is not read."""
    found = scalar_of(raw)
    assert found == value
    assert type(found) is type(value)


def test_a_lone_surrogate_stays_one() -> None:
    """RFC 8259 allows it, and the amount of its body is read."""
    assert decoded_string(rb'"\ud800"') == "\ud800"
