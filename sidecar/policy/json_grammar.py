"""JSON (RFC 8259) as regular expressions that eat many members of an array or object in one match.

They run on text as `json_text` prepares it: valid UTF-8, escaped quotation marks blotted out, so
that the next one ends a string. Each expression is deterministic: what follows a repeated part
never begins like that part. So a match that fails costs a small multiple of the text that it has
seen, which `endpos` bounds. No group is possessive or atomic: Python 3.11.0 to 3.11.4 match those
wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

NESTED: Final = 2
"""How many containers inside each other a run eats as one member."""

_SPACE: Final = rb"[ \t\n\r]*"
# Numbers in runs are short, so that going back over one costs little; longer ones are read alone.
_SHORT: Final = rb"-?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,20})?"
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_PLAIN: Final = re.compile(r"[ !#-\[\]-~]*")  # written as it is, or with escapes
_ASCII: Final = rb"[ !#-\[\]-\x7f]*"
_NEVER: Final = rb"(?!)"

SCALAR: Final = re.compile(rb"%b|true|false|null" % _NUMBER)
SPACE: Final = re.compile(_SPACE)
CONTROL: Final = re.compile(rb"[\x00-\x1f]")

_STRINGS: Final = re.compile(rb'"[^"]*"')
_INNERMOST: Final = re.compile(rb"[\[{][^\[\]{}]*[\]}]")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What eats members from where one may begin, each with the comma behind it."""

    arrays: re.Pattern[bytes]
    objects: re.Pattern[bytes]
    flat_arrays: re.Pattern[bytes]
    flat_objects: re.Pattern[bytes]


def _value(string: bytes, depth: int) -> bytes:
    forms = [string, _SHORT, b"true", b"false", b"null"]
    if depth:
        inner = _value(string, depth - 1)
        # Not before the bracket: a comma that nothing follows.
        forms.append(rb"\[%b%b\]" % (_SPACE, _members(inner, rb"\]", comma=rb"(?!\])")))
        member = _member(string, inner)
        forms.append(rb"\{%b%b\}" % (_SPACE, _members(member, rb"\}", comma=rb"(?!\})")))
    return b"(?:%b)" % b"|".join(forms)


def _member(key: bytes, value: bytes) -> bytes:
    return b"%b%b:%b%b" % (key, _SPACE, _SPACE, value)


def _members(member: bytes, closing: bytes, *, comma: bytes = b"") -> bytes:
    """Eat members that are whole: a comma or the bracket is behind each."""
    return b"(?:%b%b(?:,%b%b|(?=%b)))*" % (member, _SPACE, _SPACE, comma, closing)


def _array(value: bytes) -> re.Pattern[bytes]:
    return re.compile(_SPACE + _members(value, rb"\]"))


def _object(member: bytes) -> re.Pattern[bytes]:
    return re.compile(_SPACE + _members(member, rb"\}"))


def _grammar(string: bytes) -> Grammar:
    nested, flat = _value(string, NESTED), _value(string, 0)
    return Grammar(
        arrays=_array(nested),
        objects=_object(_member(string, nested)),
        flat_arrays=_array(flat),
        flat_objects=_object(_member(string, flat)),
    )


_COMPACT_STRING: Final = rb'"[^"]*"'
_SPACED_STRING: Final = rb'"[^"\x00-\x1f]*"'

COMPACT: Final = _grammar(_COMPACT_STRING)
"""For text without control characters, line ends included: strings need no look at each byte."""

SPACED: Final = _grammar(_SPACED_STRING)
"""For text with line ends or tabs, which may stand between tokens and never in a string."""


def runs_beside(tokens: Iterable[str], *, spaced: bool) -> re.Pattern[bytes]:
    """Return what eats the members of an object with keys of interest.

    It eats the members that no token can name (their keys are ASCII without escapes, and no token's
    in any case), and one member that a token names, if its value is short and no container: group 1
    is that key, group 2 the value.
    """
    tokens = tuple(tokens)
    named = sorted(re.escape(t).encode() for t in tokens if _PLAIN.fullmatch(t)) or [_NEVER]
    folded = {token.casefold() for token in tokens}
    barred = sorted(_in_any_case(name) for name in folded if name.isascii()) or [_NEVER]
    string = _SPACED_STRING if spaced else _COMPACT_STRING
    key = b'"(?!(?:%b)")%b"' % (b"|".join(barred), _ASCII)
    name = b'"(%b)"' % b"|".join(named)
    return _object_with(_member(key, _value(string, NESTED)), name, b"(%b|%b)" % (_SHORT, string))


def _object_with(member: bytes, name: bytes, value: bytes) -> re.Pattern[bytes]:
    others = _members(member, rb"\}")
    one = rb"%b%b(?:,%b|(?=\}))" % (_member(name, value), _SPACE, _SPACE)
    return re.compile(b"%b%b(?:%b%b)?" % (_SPACE, others, one, others))


def _in_any_case(name: str) -> bytes:
    return b"".join(
        b"[%c%c]" % (ord(char), ord(char.upper())) if char.isalpha() else re.escape(char).encode()
        for char in name
    )


def count_members(eaten: bytes) -> int:
    """Count the members of an array that a run has eaten."""
    eaten = eaten.strip(b" \t\n\r")
    if not eaten:
        return 0
    if b'"' in eaten:
        eaten = _STRINGS.sub(b"0", eaten)
    for _ in range(NESTED):
        eaten = _INNERMOST.sub(b"0", eaten)
    return eaten.count(b",") + (not eaten.endswith(b","))
