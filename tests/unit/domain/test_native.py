"""The values of each request: the same in both builds, and fast in the compiled one."""

from __future__ import annotations

import dataclasses
import types
from typing import Any

import pytest

from sidecar.admission import findings, leases, moment, verdict
from sidecar.domain import model, quota
from sidecar.domain.choices import Refund
from sidecar.http1 import heads, response_heads

QUOTA = quota.Quota("ai_calls", 25, 12, 13, "month", 1_760_000_000.0)
VALUES = [
    (quota, QUOTA),
    (model, model.Call("GET", "/", "", [], "id", model.RequestIdOrigin.CLIENT)),
    (model, model.Charge("org", "product", "ai_calls", 1, "key", private=True)),
    (quota, quota.Granted(QUOTA)),
    (quota, quota.Refused(QUOTA)),
    (model, model.Permit("id", "route", None, paid=True, refund=Refund.NEVER, claim=None)),
    (model, model.Decision(model.Reason.BLOCKED, "route", "id", None)),
    (moment, moment.Moment(1.0, 2.0)),
    (leases, leases.Leased(QUOTA, 1.0)),
    (heads, heads.parse_request(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 9)),
    (
        response_heads,
        response_heads.parse_response(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "GET", 9),
    ),
    (findings, findings.Credited(1.0)),
    (verdict, verdict.Ruling(model.Reason.BLOCKED)),
]
EACH = pytest.mark.parametrize(
    ("module", "value"), VALUES, ids=[type(value).__name__ for _, value in VALUES]
)


@EACH
def test_a_constructor_is_compiled_where_its_module_is(
    module: types.ModuleType, value: Any
) -> None:
    """A decorator that mypyc does not know, or the constructor of `dataclass`, is interpreted."""
    compiled = str(module.__file__).endswith((".so", ".pyd"))
    assert isinstance(type(value).__init__, types.WrapperDescriptorType) is compiled


@EACH
def test_a_value_equals_its_copy(module: types.ModuleType, value: Any) -> None:
    """Also in sets and as a key."""
    del module
    copy = dataclasses.replace(value)
    assert copy is not value
    assert copy == value


@EACH
def test_a_value_has_room_for_its_fields_alone(module: types.ModuleType, value: Any) -> None:
    """A misspelt attribute is an error and not a new one."""
    del module
    with pytest.raises(AttributeError):
        value.misspelt = 3


def test_a_value_of_values_is_a_key() -> None:
    """Equal ones are one."""
    assert {quota.Granted(QUOTA), quota.Granted(dataclasses.replace(QUOTA))} == {
        quota.Granted(QUOTA)
    }


def test_values_that_differ_in_a_field_are_not_equal() -> None:
    """Whichever it is."""
    assert dataclasses.replace(QUOTA, used=13) != QUOTA


def test_a_value_is_taken_apart_by_position() -> None:
    """As `match` does it with the findings of the engine."""
    match leases.Leased(QUOTA, 1.0):
        case leases.Leased(quota, until):
            assert (quota, until) == (QUOTA, 1.0)
