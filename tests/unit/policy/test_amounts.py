"""What a call costs, and what cannot be read as a price."""

from __future__ import annotations

import pytest

from sidecar.model import Headers
from sidecar.policy.amounts import (
    MAX_UNITS,
    ConstantAmount,
    HeaderAmount,
    JsonAmount,
    Scale,
    UnreadableAmount,
)
from sidecar.policy.json_pointer import JsonPointer

N = JsonAmount(JsonPointer.parse("/n"), Scale(default=1, maximum=16))
N_REQUIRED = JsonAmount(JsonPointer.parse("/n"), Scale())
MODEL = JsonAmount(JsonPointer.parse("/model"), Scale(weights={"big": 5, "small": 1}, default=2))
MODEL_REQUIRED = JsonAmount(JsonPointer.parse("/model"), Scale(weights={"big": 5}))
LENGTH = HeaderAmount(b"content-length", Scale(minimum=0))
UNITS = HeaderAmount(b"x-units", Scale(maximum=10))


def test_constant_is_the_same_for_every_call() -> None:
    """A constant needs no body and reads nothing."""
    rule = ConstantAmount(3)
    assert (rule.read((), None), rule.needs_body) == (3, False)


def test_only_json_needs_the_body() -> None:
    """The frontend buffers a body for JSON amounts alone."""
    assert (N.needs_body, LENGTH.needs_body) == (True, False)


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (b'{"n":1}', 1),
        (b'{"n":16}', 16),
        (b' {"n" : 4, "x": [1.5, "n"]} ', 4),
        (b"{}", 1),
        (b"[]", 1),
        (b"", 1),
        (None, 1),
    ],
)
def test_number_in_body(body: bytes | None, units: int) -> None:
    """A whole number is the amount; a missing one is the default."""
    assert N.read((), body) == units


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":0}', b'{"n":-1}', b'{"n":17}', b'{"n":1.5}', b'{"n":3.0}', b'{"n":1e1}',
        b'{"n":"3"}', b'{"n":true}', b'{"n":null}', b'{"n":[1]}', b'{"n":{}}', b'{"n":NaN}',
        b'{"n":99999999999999999999999}', b'{"n":1', b"n=1", b"\xff", b'{"n":1}{"n":2}',
        b'\xef\xbb\xbf{"n":1}', b'{"n":1,"n":1}', b'{"n":1,"N":9}', b'{"N":9}',
        b'{"n":1,"\\u006e":9}',
        b"[" * 100_000, b'{"n":1,"x":' + b"[" * 1500 + b"]" * 1500 + b"}",
    ],
)  # fmt: skip
def test_unreadable_number_in_body(body: bytes) -> None:
    """What is no amount, or more than one, is refused even where there is a default."""
    assert isinstance(N.read((), body), UnreadableAmount)


def test_number_without_maximum_has_the_cap_of_json() -> None:
    """Units beyond 2^53-1 would not survive the way to the platform."""
    assert N_REQUIRED.read((), b'{"n":%d}' % MAX_UNITS) == MAX_UNITS
    assert isinstance(N_REQUIRED.read((), b'{"n":%d}' % (MAX_UNITS + 1)), UnreadableAmount)


def test_missing_without_default_is_unreadable() -> None:
    """Leaving the amount out is no free call."""
    assert isinstance(N_REQUIRED.read((), b"{}"), UnreadableAmount)


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (b'{"model":"big"}', 5),
        (b'{"model":"small"}', 1),
        (b'{"model":"other"}', 2),
        (b'{"model":7}', 2),
        (b"{}", 2),
    ],
)
def test_name_is_priced_by_map(body: bytes, units: int) -> None:
    """A known name has its weight, another one the default."""
    assert MODEL.read((), body) == units


@pytest.mark.parametrize("body", [b'{"model":"other"}', b'{"model":null}', b"{}"])
def test_unknown_name_without_default_is_unreadable(body: bytes) -> None:
    """A model without a price is refused."""
    assert isinstance(MODEL_REQUIRED.read((), body), UnreadableAmount)


@pytest.mark.parametrize(("value", "units"), [(b"0", 0), (b"12", 12), (b"007", 7)])
def test_number_in_header(value: bytes, units: int) -> None:
    """Digits are the amount; an empty upload is free where the scale says so."""
    assert LENGTH.read([(b"content-length", value)], None) == units


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-units", b"0")],
        [(b"x-units", b"-1")],
        [(b"x-units", b"+1")],
        [(b"x-units", b"1.0")],
        [(b"x-units", b"1, 2")],
        [(b"x-units", b"")],
        [(b"x-units", b"1_0")],
        [(b"x-units", "٣".encode())],
        [(b"x-units", b"11")],
        [(b"x-units", b"9" * 5000)],
        [(b"x-units", b"1"), (b"x-units", b"1")],
    ],
)
def test_unreadable_number_in_header(headers: Headers) -> None:
    """Signs, lists, other digits, zero, too much, and a second line are no amount."""
    assert isinstance(UNITS.read(headers, None), UnreadableAmount)


def test_name_in_header_is_priced_by_map() -> None:
    """A header may hold the name of what is priced."""
    rule = HeaderAmount(b"x-model", Scale(weights={"big": 5}, default=1))
    assert [rule.read([(b"x-model", name)], None) for name in (b"big", b"other")] == [5, 1]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-encoding", b"gzip")],
        [(b"content-type", b"application/json; charset=utf-7")],
        [(b"content-type", b'application/json; charset="UTF-16"')],
        [(b"content-type", b"application/json; charset*=utf-8''utf-7")],
        [(b"content-type", b"application/json; charset=utf-8; charset=utf-7")],
        [(b"content-type", b"application/json"), (b"content-type", b"text/plain;charset=cp037")],
    ],
)
def test_body_that_may_be_other_text_is_unreadable(headers: Headers) -> None:
    """The product would decode the body by these headers; the price would be of other text."""
    assert isinstance(N.read(headers, b'{"n":2}'), UnreadableAmount)


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/json",
        b"",
        b"application/json; charset=UTF-8",
        b'application/json;charset="utf-8"',
        b"application/x-www-form-urlencoded",
        b"text/plain;charset=iso-8859-1",
    ],
)
def test_usual_content_types_are_read(content_type: bytes) -> None:
    """Plain JSON is read whatever harmless type a client gives it, curl's default included."""
    assert N.read([(b"content-type", content_type)], b'{"n":2}') == 2


@pytest.mark.parametrize("body", [b'{"n":1,"x":"&n=16"}', b'{"n":1,"x":";n=16"}'])
def test_json_that_reads_as_a_form_is_unreadable(body: bytes) -> None:
    """A product that parses the form finds another n than one that parses the JSON."""
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    assert isinstance(N.read(headers, body), UnreadableAmount)


def test_detail_quotes_nothing_of_the_body() -> None:
    """A refusal tells where and why, and echoes no content."""
    unreadable = N.read((), b'{"n":"secret"}')
    assert isinstance(unreadable, UnreadableAmount)
    assert unreadable.detail == "/n of the body is not a whole number"
