"""What a call costs, and what cannot be read as a price."""

from __future__ import annotations

import pytest

from sidecar.domain.model import Headers
from sidecar.policy.amounts import (
    MAX_UNITS,
    ConstantAmount,
    HeaderAmount,
    JsonAmount,
    Scale,
    UnreadableAmount,
)
from sidecar.policy.json_pointer import JsonPointer
from tests.codings import compressed

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
        (b'{"n":null}', 1),
        (b'{"n":7,"x":"\\ud800"}', 7),
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
        b'{"n":"3"}', b'{"n":true}', b'{"n":[1]}', b'{"n":{}}', b'{"n":NaN}',
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


@pytest.mark.parametrize("body", [b"{}", b'{"n":null}'])
def test_missing_without_default_is_unreadable(body: bytes) -> None:
    """Leaving the amount out, or null, is no free call."""
    unreadable = N_REQUIRED.read((), body)
    assert isinstance(unreadable, UnreadableAmount)
    assert unreadable.detail == "/n of the body is missing, and the call is metered by it"


LENGTH_OF_INPUT = JsonAmount(JsonPointer.parse("/input"), Scale(default=3, maximum=4), count=True)


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (b'{"input":["a","b"]}', 2),
        (b'{"input":[[1],{},null,2]}', 4),
        (b'{"input":"abc"}', 1),
        (b'{"input":7}', 1),
        (b'{"input":{"a":[1,2]}}', 1),
        (b'{"input":false}', 1),
        (b'{"input":null}', 3),
        (b"{}", 3),
        (b"", 3),
    ],
)
def test_an_array_is_counted(body: bytes, units: int) -> None:
    """Its length; 1 for anything that is no array; the default for what is missing."""
    assert LENGTH_OF_INPUT.read((), body) == units


@pytest.mark.parametrize("body", [b'{"input":[]}', b'{"input":[1,2,3,4,5]}'])
def test_an_array_has_a_length_within_bounds(body: bytes) -> None:
    """An empty one is no free call."""
    unreadable = LENGTH_OF_INPUT.read((), body)
    assert isinstance(unreadable, UnreadableAmount)
    assert unreadable.detail.startswith("the length of /input of the body is ")


PRODUCT = JsonAmount(
    JsonPointer.parse("/n"),
    Scale(default=1, maximum=10),
    times=JsonAmount(JsonPointer.parse("/prompt"), Scale(), count=True),
)


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (b'{"n":2,"prompt":["a","b","c"]}', 6),
        (b'{"prompt":["a","b","c"],"n":3}', 9),
        (b'{"n":null,"prompt":["a","b"]}', 2),
        (b'{"n":4,"prompt":"a"}', 4),
    ],
)
def test_an_amount_is_multiplied(body: bytes, units: int) -> None:
    """So many answers to each prompt, in either order, each with its own default."""
    assert PRODUCT.read((), body) == units


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"n":5,"prompt":["a","b","c"]}',
         "/n times /prompt of the body is over the maximum of 10"),
        (b'{"n":11,"prompt":["a"]}', "/n of the body is over the maximum of 10"),
        (b'{"n":2}', "/prompt of the body is missing, and the call is metered by it"),
        (b'{"n":2,"prompt":[]}', "the length of /prompt of the body is below 1"),
        (b'{"n":2,"prompt":[1],"Prompt":[1]}',
         ("/prompt of the body cannot be read: "
          "the body has keys that differ from 'prompt' only in case")),
    ],
)  # fmt: skip
def test_a_product_that_cannot_be_read(body: bytes, detail: str) -> None:
    """Each factor and the product is within its bounds."""
    assert PRODUCT.read((), body) == UnreadableAmount(detail)


def test_a_weight_is_multiplied() -> None:
    """A model's price, for each answer."""
    n = JsonAmount(JsonPointer.parse("/n"), Scale(default=1))
    rule = JsonAmount(JsonPointer.parse("/model"), Scale(weights={"big": 5}), times=n)
    assert rule.read((), b'{"model":"big","n":3}') == 15


@pytest.mark.parametrize("coding", [b"gzip", b"GZIP", b"deflate", b"zstd", b"identity", b""])
def test_a_compressed_body_is_decoded(coding: bytes) -> None:
    """The price is that of the text, in every coding that is read."""
    body = compressed(b'{"n":4}', coding.lower().decode())
    assert N.read([(b"content-encoding", coding)], body) == 4


@pytest.mark.parametrize(
    "headers",
    [
        [(b"content-encoding", b"br")],
        [(b"content-encoding", b"gzip, gzip")],
        [(b"content-encoding", b"gzip"), (b"content-encoding", b"zstd")],
        [(b"content-encoding", b"gzip")],
    ],
    ids=["unknown", "a list", "two lines", "not gzip"],
)
def test_a_coding_that_is_not_read_is_a_415(headers: Headers) -> None:
    """Another one, several, or bytes that are not what it says."""
    unreadable = N.read(headers, b'{"n":2}')
    assert isinstance(unreadable, UnreadableAmount)
    assert unreadable.status == 415


def test_a_body_that_is_too_long_once_decoded_is_a_413() -> None:
    """However short it came."""
    body = compressed(b'{"n":4,"x":"' + b"x" * 100_000 + b'"}', "gzip")
    headers = [(b"content-encoding", b"gzip")]
    unreadable = N.read(headers, body, 100_000)
    assert isinstance(unreadable, UnreadableAmount)
    assert unreadable.status == 413
    assert N.read(headers, body, 100_014) == 4


def test_a_form_is_looked_for_in_the_decoded_text() -> None:
    """What hides in a compressed body is refused as well."""
    headers = [
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-encoding", b"gzip"),
    ]
    assert N.read(headers, compressed(b'{"n":2}', "gzip")) == 2
    hiding = compressed(b'{"n":1,"x":"&n=16"}', "gzip")
    assert isinstance(N.read(headers, hiding), UnreadableAmount)


def test_an_amount_is_read_in_slices() -> None:
    """A large body gives way in between; a small one is read before the first yield."""
    headers = [(b"content-encoding", b"zstd")]
    large = compressed(b'{"x":[' + b"{}," * 50_000 + b'{}],"n":2}', "zstd")
    assert sum(1 for _ in N.reading(headers, large)) > 50
    assert sum(1 for _ in N.reading((), b'{"n":2}')) == 0


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
