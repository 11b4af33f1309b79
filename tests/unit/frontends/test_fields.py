"""Header fields: forged identities are gone, and a field that comes twice has no value."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.frontends.fields import decided_on, field_of, identity_fields, without_ours
from sidecar.policy.preflight import preflight_method
from tests.fakes.engines import ACME


@pytest.mark.parametrize("name", [b"x-bb-org-id", b"X-BB-Plan", b"x_bb_role", b"x.bb-user-id"])
def test_an_identity_that_a_client_made_up_is_gone(name: bytes) -> None:
    """In every spelling that a product may take for ours."""
    assert without_ours([[name, b"evil"], [b"X-Bbq", b" yes "]]) == [(b"x-bbq", b"yes")]


def test_a_name_is_what_the_most_careless_product_reads() -> None:
    """So that `x_units: 100` is no call for the default."""
    came = [(b"x-units", b"1"), (b"x_units", b"100"), (b"x.tier", b"gold"), (b"host", b"a")]
    assert decided_on(came) == [
        (b"x-units", b"1"), (b"x-units", b"100"), (b"x-tier", b"gold"), (b"host", b"a"),
    ]  # fmt: skip


def test_no_other_spelling_makes_a_call_a_preflight() -> None:
    """A preflight is free, and a product that reads the name exactly would run its handler."""
    came = [(b"origin", b"https://a"), (b"access_control_request_method", b"POST")]
    assert decided_on(came) == came
    assert preflight_method("OPTIONS", decided_on(came), "") is None


def test_no_other_spelling_is_the_length_of_a_body() -> None:
    """Forward auth does not see the length: a client would name the price of its upload."""
    assert decided_on([(b"content_length", b"0")]) == [(b"content_length", b"0")]


def test_a_field_that_comes_twice_has_no_value() -> None:
    """Which one counts is not known."""
    assert field_of([(b"a", b"1"), (b"b", b"2")], b"a") == b"1"
    assert field_of([(b"a", b"1"), (b"a", b"2")], b"a") is None


def test_a_caller_is_the_fields_that_are_known() -> None:
    """None without one."""
    assert dict(identity_fields(ACME))[b"x-bb-org-id"] == b"org_acme"
    assert b"x-bb-plan" not in dict(identity_fields(dataclasses.replace(ACME, plan="")))
    assert identity_fields(None) == []
