"""Header fields between Envoy's messages and the engine."""

from __future__ import annotations

from envoy.config.core.v3.base_pb2 import HeaderMap, HeaderValue, HeaderValueOption

from sidecar.frontends.envoy.head_fields import forged_names, overwriting, pairs_of, split


def test_a_repeated_field_stays_two_lines() -> None:
    """By its bytes, or by its text where Envoy sends that."""
    found = pairs_of(
        HeaderMap(
            headers=[
                HeaderValue(key="X-A", raw_value=b"\xff"),
                HeaderValue(key="x-a", value="two"),
            ]
        )
    )
    assert found == [(b"x-a", b"\xff"), (b"x-a", b"two")]


def test_the_authority_is_the_host() -> None:
    """Fields of HTTP/2's own are no fields of the call."""
    own, fields = split([(b":path", b"/x"), (b":authority", b"acme"), (b"a", b"1")])
    assert own == {b":path": b"/x", b":authority": b"acme"}
    assert fields == [(b"a", b"1"), (b"host", b"acme")]


def test_forged_names_are_found_in_every_spelling() -> None:
    """But for those that are set anyway."""
    fields = [(b"x-bb-plan", b""), (b"x_bb_org_id", b""), (b"x-bb-new", b""), (b"cookie", b"")]
    assert forged_names(fields, but=[b"x-bb-plan"]) == ["x-bb-new", "x_bb_org_id"]


def test_another_spelling_of_the_request_id_is_forged() -> None:
    """Many servers read an underscore as a hyphen; the field itself is overwritten."""
    fields = [(b"x-request-id", b"1"), (b"x_request_id", b"2"), (b"x-request-ids", b"3")]
    assert forged_names(fields) == ["x_request_id"]


def test_a_field_replaces_what_is_there() -> None:
    """Envoy would append by default, and a product reads the first line."""
    option = overwriting(b"RateLimit", b"1", raw=True)
    assert option.append_action == HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    assert (option.header.key, option.header.raw_value) == ("ratelimit", b"1")
    assert overwriting(b"a", b"1", raw=False).header.value == "1"
