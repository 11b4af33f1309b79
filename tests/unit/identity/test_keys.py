"""Which keys of a key set are trusted."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sidecar.identity.keys import read_key_set
from tests.unit.identity.mint import SigningKey, key_set, number, signing_key

KEY = signing_key("one")
MODULUS = KEY.private.public_key().public_numbers().n


def kids(*entries: dict[str, object]) -> list[str]:
    """Return the kids of a key set that are trusted."""
    read = read_key_set(key_set(*entries), {})
    assert read is not None
    return list(read.keys)


def test_keys_of_the_contract() -> None:
    """Keys as the contract shows them are trusted under their kids."""
    assert kids(KEY.jwk(), signing_key("two").jwk()) == ["one", "two"]


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "EC"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": None},
        {"use": "enc"},
        {"use": None},
        {"alg": "RS384"},
        {"alg": "HS256"},
        {"alg": None},
        {"kid": None},
        {"kid": ""},
        {"kid": 1},
        {"kid": "k" * 201},
        {"n": None},
        {"n": 5},
        {"n": ""},
        {"n": "\u00fc"},
        {"n": number(MODULUS) + "="},
        {"n": number(MODULUS >> 1 | 1)},
        {"n": number(MODULUS - 1)},
        {"n": number(1 << 8192 | 1)},
        {"e": None},
        {"e": 65537},
        {"e": number(1)},
        {"e": "AA"},
        {"e": number(65536)},
        {"e": number(2**32 + 1)},
        {"d": "c2VjcmV0"},
    ],
)
def test_bad_entry_is_ignored(changes: dict[str, object]) -> None:
    """An entry that is no public RSA key for RS256 of 2048 bits is left out; others stay."""
    assert kids(KEY.jwk(**changes), signing_key("two").jwk()) == ["two"]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"use": None}, "no 'use': 'sig' is needed"),
        ({"alg": None}, "no 'alg': 'RS256' is needed"),
        ({"kty": "EC"}, "another 'kty' than 'RSA'"),
        ({"use": "enc"}, "another 'use' than 'sig'"),
        ({"alg": "PS256"}, "another 'alg' than 'RS256'"),
        ({"d": "c2VjcmV0"}, "a private key was published"),
        ({"kid": None}, "no 'kid' of 1 to 200 characters"),
        ({"n": number(MODULUS >> 1 | 1)}, "2047 bits: 2048 to 8192 are needed"),
        ({"n": 5}, "'n' or 'e' is no Base64urlUInt"),
        ({"e": number(1)}, "'n' or 'e' is no number of an RSA key"),
    ],
)
def test_the_cause_is_named(changes: dict[str, object], cause: str) -> None:
    """Why a key is not trusted, and of how many keys it is true; never what the key holds."""
    read = read_key_set(key_set(KEY.jwk(**changes), KEY.jwk(**changes), KEY.jwk()), {})
    assert read is not None
    assert (list(read.keys), read.ignored) == (["one"], {cause: 2})
    assert read.ignored_text() == f"2 ignored ({cause})"


def test_a_dispute_is_named() -> None:
    """By its kids, each once."""
    read = read_key_set(key_set(KEY.jwk(), signing_key("two").jwk(kid="one"), KEY.jwk()), {})
    assert read is not None
    assert read.ignored_text() == "1 ignored (its kid is another key's too)"


def test_small_key_is_ignored() -> None:
    """A real key of 1024 bits is no key to trust (RFC 7518 section 3.3)."""
    small = SigningKey("small", rsa.generate_private_key(65537, 1024))  # noqa: S505 -- refused here
    assert kids(small.jwk()) == []


def test_disputed_kid_is_ignored() -> None:
    """Two keys under one kid are both left out: which is meant cannot be known."""
    assert kids(KEY.jwk(), signing_key("two").jwk(kid="one"), KEY.jwk()) == []


def test_repeated_entry_is_one_key() -> None:
    """The same key twice is no dispute."""
    assert kids(KEY.jwk(), KEY.jwk()) == ["one"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[',
        b'{"keys":[],"keys":[]}',
        json.dumps({"keys": [KEY.jwk()]}).encode("utf-16"),
    ],
)
def test_no_key_set(body: bytes) -> None:
    """Anything but an object with one list of keys is no key set."""
    assert read_key_set(body, {}) is None


@pytest.mark.parametrize("entry", [None, 1, "x", []])
def test_entry_of_another_type(entry: object) -> None:
    """An entry that is no object is ignored."""
    assert read_key_set(json.dumps({"keys": [entry, KEY.jwk()]}).encode(), {}) is not None


def test_known_key_stays_the_same() -> None:
    """A key that was known before is the same object, so what it verified stays verified."""
    known = read_key_set(key_set(KEY.jwk()), {})
    assert known is not None
    again = read_key_set(key_set(KEY.jwk()), known.keys)
    assert again is not None
    assert again.keys["one"] is known.keys["one"]


def test_other_key_under_a_known_kid_is_new() -> None:
    """A kid that now names another key is another key."""
    known = read_key_set(key_set(KEY.jwk()), {})
    assert known is not None
    again = read_key_set(key_set(signing_key("two").jwk(kid="one")), known.keys)
    assert again is not None
    assert again.keys["one"] is not known.keys["one"]
