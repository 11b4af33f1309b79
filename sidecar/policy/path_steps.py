"""What a product's stack may do to a path before it routes by it, one step at a time.

Servers, frameworks and their middleware each do some of these, in an order of their own. A step
takes a path as text and returns what comes out; a path that it does not concern comes back
unchanged. `paths` combines them. Only the standard library is needed: the tests run this file on
interpreters that have nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from unicodedata import normalize
from urllib.parse import unquote

PathStep = Callable[[str], str]

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
DOTS: Final = (".", "..")
TAIL: Final = " ."
"""What Windows strips from the end of a file name."""

_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9\-._~]")
_ENCODED_SEPARATOR: Final = re.compile(r"%(?=2F|5C)", re.IGNORECASE)
_NEEDLESS_ESCAPE: Final = re.compile(
    # Escapes of characters that a segment may hold as they are (RFC 3986 pchar).
    r"%(?=2[146-9A-E]|3[0-9ABD]|4[0-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])",
    re.IGNORECASE,
)
_LONE_BYTE: Final = re.compile(r"[\udc80-\udcff]")
_OVERLONG: Final = re.compile(
    # Two bytes, or three or four that start with bits of zero alone.
    r"([\udcc0\udcc1])([\udc80-\udcbf])"
    r"|(?:\udce0|\udcf0\udc80)([\udc80\udc81])([\udc80-\udcbf])"
)
_PARAMETERS: Final = re.compile(r";[^/]*")
_SLASHES: Final = re.compile(r"//+")
_NETWORK_PATH: Final = re.compile(r"//+[^/]*")


def decode(text: str) -> str:
    """Decode every escape; a byte that is not UTF-8 becomes a lone surrogate, as in a file name."""
    if "%" not in text:
        return text
    return unquote(text, encoding="utf-8", errors="surrogateescape")


def decode_but_separators(text: str) -> str:
    """Decode every escape but those of the slash and the backslash: split first, decode later."""
    return decode(_ENCODED_SEPARATOR.sub("%25", text))


def decode_unreserved(text: str) -> str:
    """Decode unreserved characters, write the others in upper case (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(_unreserved, text)


def decode_needed(text: str) -> str:
    """Decode only what a segment could not hold as it is."""
    return decode(_NEEDLESS_ESCAPE.sub("%25", text))


def decode_plus(text: str) -> str:
    """Take `+` for a space, as in a query."""
    return text.replace("+", " ")


def drop_lone_bytes(text: str) -> str:
    """Drop bytes that are not UTF-8."""
    return _LONE_BYTE.sub("", text)


def decode_latin_1(text: str) -> str:
    """Take bytes that are not UTF-8 for Latin-1."""
    return _LONE_BYTE.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), text)


def decode_overlong(text: str) -> str:
    """Accept ASCII in more bytes than UTF-8 allows."""
    return _OVERLONG.sub(_overlong, text)


def compose(text: str) -> str:
    """Replace compatibility characters, such as full-width letters (Unicode NFKC)."""
    return text if text.isascii() else normalize("NFKC", text)


def drop_controls(text: str) -> str:
    """Drop control characters: URL parsers of browsers drop tabs and line ends."""
    return CONTROL.sub("", text)


def strip_space(text: str) -> str:
    """Strip white space from the end: `$` of a regular expression matches before a line end."""
    return text.rstrip()


def _cut_at(char: str) -> PathStep:
    def cut(text: str) -> str:
        return text.partition(char)[0]

    return cut


cut_at_nul = _cut_at("\0")  # as C does
cut_at_query = _cut_at("?")  # split off after decoding
cut_at_fragment = _cut_at("#")  # the same
cut_at_semicolon = _cut_at(";")  # find-my-way (Fastify 4) takes what follows for a query


def strip_parameters(text: str) -> str:
    """Strip `;parameters` from each segment, as servlet containers do."""
    return _PARAMETERS.sub("", text) if ";" in text else text


def turn_backslashes(text: str) -> str:
    """Take a backslash for a slash, as the URL standard and Windows do."""
    return text.replace("\\", "/")


def strip_tails(text: str) -> str:
    """Strip dots and spaces from the end of each segment, as Windows does."""
    if not ("./" in text or " /" in text or text.endswith((".", " "))):
        return text
    segments = text.split("/")
    return "/".join(s if s in DOTS else s.rstrip(TAIL) for s in segments)


def resolve_dots(text: str) -> str:
    """Remove dot segments (RFC 3986, 5.2.4)."""
    if "/." not in text:
        return text
    segments = text[1:].split("/")
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
    if segments[-1] in DOTS:
        resolved.append("")
    return "/" + "/".join(resolved)


def fold_slashes(text: str) -> str:
    """Fold repeated slashes."""
    return _SLASHES.sub("/", text)


def fold_leading_slashes(text: str) -> str:
    """Fold repeated slashes at the start alone."""
    return "/" + text.lstrip("/")


def drop_host(text: str) -> str:
    """Take `//host/path` for a reference to another host (RFC 3986, 4.2), and keep its path."""
    found = _NETWORK_PATH.match(text)
    return text[found.end() :] or "/" if found else text


def strip_last_slash(text: str) -> str:
    """Strip slashes from the end."""
    return text.rstrip("/") or "/"


STEPS: Final[tuple[PathStep, ...]] = (
    decode, decode_but_separators, decode_unreserved, decode_needed, decode_plus,
    drop_lone_bytes, decode_latin_1, decode_overlong, compose,
    drop_controls, strip_space, cut_at_nul, cut_at_query, cut_at_fragment,
    cut_at_semicolon, strip_parameters, turn_backslashes, strip_tails, resolve_dots,
    fold_slashes, fold_leading_slashes, drop_host, strip_last_slash,
)  # fmt: skip


def fold_case(segment: str) -> str:
    """Return a segment as compared without regard to case, by whatever rule.

    Both cases are tried: a long s is an `s` in upper case, a dotless i an `I`, and the Kelvin sign
    a `k` in lower case. A dotted capital I folds to `i` and a dot, which some rules leave out.
    """
    if segment.isascii():
        return segment.lower()
    return normalize("NFKC", segment).upper().casefold().replace("\u0307", "")


def _unreserved(escape: re.Match[str]) -> str:
    char = chr(int(escape[0][1:], 16))
    return char if _UNRESERVED.fullmatch(char) else escape[0].upper()


def _overlong(found: re.Match[str]) -> str:
    lead, last = (found[1] or found[3]), (found[2] or found[4])
    return chr((ord(lead) & 1) << 6 | ord(last) & 0x3F)
