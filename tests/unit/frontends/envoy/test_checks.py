"""What a check asks about."""

from __future__ import annotations

from typing import Any

import pytest
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest

from sidecar.frontends.envoy.checks import CallCheck, read_check
from sidecar.frontends.envoy.head_fields import TOO_LARGE
from tests.fakes.rpcs import check_request


def read(request: CheckRequest) -> CallCheck:
    """Read a check that is one."""
    found = read_check(request, "10.0.0.7")
    assert isinstance(found, CallCheck)
    return found


def test_a_check_names_the_call() -> None:
    """Raw, with its query; its host is a field."""
    check = read(check_request("/chat?x=1", cookie="a=1"))
    assert (check.call.method, check.call.target) == ("POST", "/chat?x=1")
    assert check.call.headers == [(b"cookie", b"a=1"), (b"host", b"acme")]


def test_fields_may_come_as_texts() -> None:
    """So they do without `encode_raw_headers`."""
    request = check_request()
    request.attributes.request.http.ClearField("header_map")
    request.attributes.request.http.headers.update({":path": "/chat", "cookie": "a=1"})
    assert read(request).call.headers == [(b"cookie", b"a=1"), (b"host", b"acme")]


@pytest.mark.parametrize(
    ("method", "path"), [("post", "/chat"), ("", ""), ("GET", "chat"), ("GET", "/\x7f")]
)
def test_what_cannot_be_read_is_no_check(method: str, path: str) -> None:
    """No route would match it."""
    assert isinstance(read_check(check_request(path, method), ""), str)


def test_a_request_has_one_name() -> None:
    """Where Envoy gives it an ID; another path is another call."""
    first, again, other = (
        read(check_request(path, id="7")).name for path in ("/chat", "/chat", "/free")
    )
    assert first == again != other
    assert read(check_request()).name is None


def test_an_id_that_is_a_field_of_the_call_names_nothing() -> None:
    """A client that repeats its X-Request-ID would else be answered from memory, for free."""
    request = check_request(id="7")
    request.attributes.request.http.headers.update({"x-request-id": "7"})
    assert read(request).name is None


def test_a_body_is_bytes_or_a_text() -> None:
    """A text is what Envoy sends without `pack_as_bytes`."""
    text = check_request()
    text.attributes.request.http.body = '{"n": 3}'
    for request in (check_request(content=b'{"n": 3}'), text):
        assert read(request).content == b'{"n": 3}'


@pytest.mark.parametrize(
    ("fields", "content", "whole"),
    [
        ({"x_envoy_auth_partial_body": "true"}, b"{}", False),
        ({"x_envoy_auth_partial_body": "false", "content_length": "2"}, b"{}", True),
        ({"content_length": "3"}, b"{}", False),
        ({"content_length": "3"}, b"", False),
        ({}, b"", True),
    ],
)
def test_a_part_of_a_body_is_no_body(
    *, fields: dict[str, str], content: bytes, whole: bool
) -> None:
    """Nor is none, where the call has one that Envoy did not send."""
    assert read(check_request(content=content, **fields)).partial == (not whole)


@pytest.mark.parametrize("field", ["cookie", "authorization"])
def test_an_id_with_another_token_is_another_call(field: str) -> None:
    """A second caller never gets the first one's decision, also by another host."""
    mine: dict[str, Any] = {field: "one"}
    request = check_request(id="7", **{**mine, field: "two"})
    first, other = read(check_request(id="7", **mine)), read(request)
    request.attributes.request.http.host = "other"
    assert len({first.name, other.name, read(request).name}) == 3


@pytest.mark.parametrize(("fields", "length"), [(1001, 1), (1, 256 * 1024)])
def test_a_head_beyond_measure_is_no_check(fields: int, length: int) -> None:
    """However Envoy sends its fields: to read them all would hold up other calls."""
    many: dict[str, Any] = {f"a{number}": "x" * length for number in range(fields)}
    texts = CheckRequest()
    texts.attributes.request.http.method = "GET"
    texts.attributes.request.http.path = "/chat"
    texts.attributes.request.http.headers.update(many)
    for request in (check_request(**many), texts):
        assert read_check(request, "") == TOO_LARGE
