"""What a body's bytes must be, wherever they are cut."""

from __future__ import annotations

import pytest

from sidecar.policy.json_text import JsonText, NotJsonError, Piece, pieces_of, plain

FILL = b"\xff\xff"


def taken(*parts: bytes) -> JsonText:
    """Take all of a body that comes in these parts."""
    pieces = [Piece(part, last=number == len(parts)) for number, part in enumerate(parts, 1)]
    text = JsonText(iter(pieces))
    for _ in parts:
        text.refill()
    return text


def cuts(body: bytes) -> list[tuple[bytes, ...]]:
    """Return a body whole, cut in two anywhere, and at every byte."""
    ways = [(body,), *((body[:at], body[at:]) for at in range(1, len(body)))]
    return [*ways, tuple(body[at : at + 1] for at in range(len(body)))]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'"a\\"b"', b'"a' + FILL + b'b"'),
        (b'"a\\\\"', b'"a' + FILL + b'"'),
        (b'"\\\\\\""', b'"' + FILL * 2 + b'"'),
        (b'"\\n\\u12aF\\/"', b'"\\n\\u12aF\\/"'),
        ("é漢😀".encode(), "é漢😀".encode()),
    ],
)
def test_only_quotation_marks_that_end_strings_are_left(body: bytes, data: bytes) -> None:
    """What could hide an end is blotted out; places stay the same, and so do the bytes."""
    for parts in cuts(body):
        text = taken(*parts)
        assert (text.data, text.raw, text.whole) == (data, body, True)


@pytest.mark.parametrize(
    "body",
    [
        b"\\", b"\\x", b"\\u", b"\\u123", b"\\u123x", b"\\u 123", b"\\\\\\", b"\\\n", b"\\\x00",
        b"\xff", b"\xc3", b"\xc3(", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80", b"a\x80",
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_refused(body: bytes) -> None:
    """Escapes that JSON does not know, and what is not UTF-8."""
    for parts in cuts(body):
        with pytest.raises(NotJsonError):
            taken(*parts)


@pytest.mark.parametrize("body", [b'"a\nb"', b'1,"" "\x00', b'"\\"\t"', b'\n"a"\n"\x1f"'])
def test_control_characters_in_strings_are_refused(body: bytes) -> None:
    """Line ends and tabs, too."""
    for parts in cuts(body):
        with pytest.raises(NotJsonError):
            taken(*parts)


@pytest.mark.parametrize("body", [b'\n"a"\t:\r\n"\\""\n', b'"\x7f"\x00'])
def test_control_characters_between_strings_are_for_the_grammar(body: bytes) -> None:
    """It takes those that are white space."""
    for parts in cuts(body):
        assert taken(*parts).raw == body


def test_what_was_read_is_let_go() -> None:
    """A long body takes no second copy of itself."""
    text = JsonText(pieces_of(b"x" * 100_000, 1000))
    for _ in range(100):
        text.refill()
        text.pos = len(text.data) - 10
        assert len(text.data) <= 1010
    assert text.whole


def test_pieces_are_the_body() -> None:
    """In order, the last one marked; a small body is not copied."""
    body = bytes(range(256)) * 10
    pieces = list(pieces_of(body, 1000))
    assert b"".join(piece.data for piece in pieces) == body
    assert [piece.last for piece in pieces] == [False, False, True]
    (piece,) = pieces_of(body)
    assert piece.data is body


def test_an_escape_counts_as_its_character() -> None:
    """About: a letter that is written by its number takes two bytes or three, and counts four."""
    assert plain(rb"a\\n\"\n\u0416" + b"\\") == (b"a'n' 0416", b"\\")
