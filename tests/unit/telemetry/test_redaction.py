from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sidecar.telemetry.redaction import MASK, Redactor

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvcmdfaWQiOiJvcmdfYWNtZSJ9.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key bbas_live_hunter2-x refused", "key bbas_*** refused"),
        ("bbk_hunter2", "bbk_***"),
        ("xbbk_hunter2", "xbbk_***"),
        (f"token {JWT} expired", "token eyJ*** expired"),
        ("cut eyJhbGciOiJSUzI1", "cut eyJ***"),
        ("Authorization: Bearer hunter2", "Authorization: ***"),
        ("authorization=Basic aHVudGVyMg==", "authorization=***"),
        ("{'Authorization': 'hunter2'}", "{'Authorization': ***"),
        ("Cookie: a=hunter2; b=hunter2", "Cookie: ***"),
        ("set-cookie: a=hunter2\nnext: line", "set-cookie: ***\nnext: line"),
        ("X-Internal-Key: hunter2", "X-Internal-Key: ***"),
        ("(b'cookie', b'a=hunter2')", "(b'cookie', ***"),
        ("sent bearer hunter2hunter2 to", "sent bearer *** to"),
        ("a bearer token is missing", "a bearer token is missing"),
        (r"b'GET / HTTP/1.1\r\nCookie: a=hunter2\r\n'", r"b'GET / HTTP/1.1\r\nCookie: ***"),
        ("GET /x?token=hunter2&n=1", "GET /x?token=***&n=1"),
        ('{"client_secret": "hunter2", "n": 1}', '{"client_secret": "***", "n": 1}'),
        ("password=hunter2 retry=1", "password=*** retry=1"),
        ("redis://user:hunter2@cache:6379", "redis://***@cache:6379"),
        ("https://h/path@2", "https://h/path@2"),
        ("an ordinary line of 3 words", "an ordinary line of 3 words"),
    ],
)
def test_what_looks_like_a_credential_is_masked(text: str, masked: str) -> None:
    """By its form, in any text; ordinary text stays as it is."""
    assert Redactor().text(text) == masked


@pytest.mark.parametrize(
    "name",
    ["authorization", "Proxy-Authorization", "cookie", "set_cookie", "client_secret", "token",
     "access_token", "password", "passwd", "api_key", "X-Internal-Key", "credentials",
     "private-key"],
)  # fmt: skip
def test_what_is_named_like_a_credential_is_masked(name: str) -> None:
    """Whatever it looks like, alone or nested."""
    redactor = Redactor()
    assert redactor.value(name, "plain") == MASK
    assert redactor.value("fields", {name: b"plain"}) == {name: MASK}


@pytest.mark.parametrize("value", [0, 5, 1.5, True, None])
def test_numbers_are_never_credentials(value: object) -> None:
    """`tokens_cached: 5` is worth reading."""
    assert Redactor().value("tokens_cached", value) == value


@pytest.mark.parametrize(
    "form",
    [
        lambda secret: secret,
        lambda secret: quote(secret, safe=""),
        lambda secret: base64.b64encode(secret.encode()).decode(),
        lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    ],
)
def test_a_known_secret_is_masked_in_any_of_its_forms(form: object) -> None:
    """Plain, percent-encoded, base64."""
    assert callable(form)
    secret = "correct horse/battery+staple?"
    masked = Redactor([secret]).text(f"<{form(secret)}>")
    assert masked.replace("=", "") == f"<{MASK}>"


def test_a_secret_learnt_later_is_masked_from_then_on() -> None:
    """A key file that was rotated."""
    redactor = Redactor()
    redactor.add("hunter2")
    assert redactor.text("hunter2") == MASK


def test_a_secret_within_another_leaves_no_rest() -> None:
    """The longer one is masked first."""
    assert Redactor(["abcd", "abcd-efgh"]).text("abcd-efgh") == MASK


@pytest.mark.parametrize("secret", ["", "abc"])
def test_a_very_short_secret_does_not_eat_words(secret: str) -> None:
    """Masking `a` would leave nothing to read."""
    assert Redactor([secret]).text("abcabc") == "abcabc"


@given(st.text(min_size=4), st.text(), st.text())
def test_no_known_secret_survives_in_any_value(secret: str, before: str, after: str) -> None:
    """In text, bytes, keys, lists, objects and the texts of exceptions."""
    assume(secret not in MASK)
    redactor = Redactor([secret])
    text = before + secret + after
    shown = redactor.value("x", {"k": [text, {"n": text}], "e": ValueError(text)})
    assert isinstance(shown, dict)
    assert secret not in shown["k"][0].replace(MASK, "\0")
    assert secret not in shown["k"][1]["n"].replace(MASK, "\0")
    assert secret not in shown["e"].replace(MASK, "\0")


class Unprintable:
    """An object whose text is a fault."""

    def __str__(self) -> str:
        raise OSError("no text")

    __repr__ = __str__


def test_an_object_without_a_text_loses_no_record() -> None:
    """The log says what it was."""
    assert Redactor().value("x", Unprintable()) == "<Unprintable: OSError in __str__>"


def test_a_deep_or_long_value_is_bounded() -> None:
    """A structure that holds itself ends."""
    loop: dict[str, object] = {}
    loop["again"] = loop
    assert isinstance(Redactor().value("x", loop), dict)
    assert len(str(Redactor().value("x", list(range(10_000))))) < 600


@pytest.mark.parametrize("piece", ["eyJ", "bbas_", "Bearer ", "token=", "a@", "://", "cookie", " "])
def test_long_hostile_text_is_bounded(piece: str) -> None:
    """No pattern goes back over what it read: a quadratic one would meet the suite's timeout."""
    assert len(Redactor(["hunter2"]).text(piece * 30_000)) <= 65_536
