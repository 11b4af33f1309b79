"""How strictly a token is taken apart before anything in it is believed."""

from __future__ import annotations

import pytest

from sidecar.domain.credentials import IdentityFailure
from sidecar.identity.jws import LONGEST_TOKEN, Jws, decode_segment, read_jws, read_object
from tests.unit.identity.mint import coded, compact


def jws(header: bytes, payload: bytes = b"{}") -> bytes:
    """Make a token whose signature is a few bytes."""
    return compact(header, payload, lambda _: b"sig")


def test_parts_of_a_token() -> None:
    """A well-formed token comes apart into what is signed, what is said and the signature."""
    token = jws(b'{"alg":"RS256","kid":"k"}', b'{"a":1}')
    signing_input = token.rpartition(b".")[0]
    assert read_jws(token, "RS256") == Jws("k", signing_input, b'{"a":1}', b"sig")


def test_longest_token_is_read() -> None:
    """A token of exactly 8 KB is not too large."""
    assert read_jws(b"." * LONGEST_TOKEN, "RS256") is IdentityFailure.MALFORMED


def test_longer_token_is_too_large() -> None:
    """One byte more is refused before anything is decoded."""
    assert read_jws(b"." * (LONGEST_TOKEN + 1), "RS256") is IdentityFailure.TOO_LARGE


@pytest.mark.parametrize("token", [b"", b".", b"a.b", b"....", b"e30.e30.e30.", b".e30.e30.e30"])
def test_other_numbers_of_segments(token: bytes) -> None:
    """A token has three segments; a JWE's five or a lost one are malformed."""
    assert read_jws(token, "RS256") is IdentityFailure.MALFORMED


@pytest.mark.parametrize(
    "segment",
    [b"YQ==", b"YQ=", b"YR", b"YWJ", b"Y", b" YQ", b"YQ\n", b"Y Q", b"-_8+", b"-_8/", b"Y\x00Q"],
)
def test_other_spellings_of_base64url(segment: bytes) -> None:
    """Padding, blanks, the other alphabet and stray last bits are refused (RFC 7515 section 2)."""
    assert decode_segment(segment) is None


@pytest.mark.parametrize("place", [0, 1, 2])
def test_every_segment_is_decoded_strictly(place: int) -> None:
    """No segment of the three is read leniently."""
    parts = [coded(b'{"alg":"RS256"}'), coded(b"{}"), coded(b"sig")]
    parts[place] += b"="
    assert read_jws(b".".join(parts), "RS256") is IdentityFailure.MALFORMED


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'"{}"',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":1,"\\u0061":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1}}',
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":' + b"9" * 5000 + b"}",
        b"[" * 6000,
        b'{"a":' * 1500 + b"1" + b"}" * 1500,
    ],
)
def test_json_that_readers_differ_on(data: bytes) -> None:
    """Only one plain UTF-8 object without repeated members is read, and nothing raises."""
    assert read_object(data) is None


@pytest.mark.parametrize(
    "algorithm",
    [
        b'"none"',
        b'"None"',
        b'"NONE"',
        b'"nOnE"',
        b'""',
        b'"HS256"',
        b'"RS384"',
        b'"RS512"',
        b'"PS256"',
        b'"ES256"',
        b'"EdDSA"',
        b'"rs256"',
        b'"RS256 "',
        b'["RS256"]',
        b"null",
        b"256",
        b"true",
    ],
)
def test_any_other_algorithm(algorithm: bytes) -> None:
    """The header must name the source's algorithm to the letter (conformance 26)."""
    token = jws(b'{"kid":"k","alg":' + algorithm + b"}")
    assert read_jws(token, "RS256") is IdentityFailure.WRONG_ALGORITHM


def test_missing_algorithm() -> None:
    """A header without an algorithm is refused."""
    assert read_jws(jws(b'{"kid":"k"}'), "RS256") is IdentityFailure.WRONG_ALGORITHM


@pytest.mark.parametrize("name", [b"jwk", b"jku", b"x5u", b"x5c", b"crit", b"b64"])
@pytest.mark.parametrize("value", [b'"x"', b"null", b"true", b"[]", b"{}"])
def test_forbidden_parameters(name: bytes, value: bytes) -> None:
    """A parameter that brings a key along or changes the reading is refused, whatever it says."""
    token = jws(b'{"alg":"RS256","kid":"k","' + name + b'":' + value + b"}")
    assert read_jws(token, "RS256") is IdentityFailure.FORBIDDEN_HEADER


@pytest.mark.parametrize("name", [b"typ", b"cty", b"x5t", b"x5t#S256", b"anything"])
def test_harmless_parameters_are_ignored(name: bytes) -> None:
    """A parameter that only hints is ignored, as RFC 7515 section 4 wants."""
    token = jws(b'{"alg":"RS256","kid":"k","' + name + b'":"x"}')
    assert isinstance(read_jws(token, "RS256"), Jws)


@pytest.mark.parametrize(
    "kid", [b"1", b"1.5", b"null", b"true", b"[]", b"{}", b'""', b'"' + b"k" * 201 + b'"']
)
def test_impossible_kids(kid: bytes) -> None:
    """A kid is a string of 1 to 200 characters."""
    token = jws(b'{"alg":"RS256","kid":' + kid + b"}")
    assert read_jws(token, "RS256") is IdentityFailure.MALFORMED


def test_longest_kid() -> None:
    """A kid of 200 characters is read."""
    token = jws(b'{"alg":"RS256","kid":"' + b"k" * 200 + b'"}')
    assert isinstance(read_jws(token, "RS256"), Jws)
