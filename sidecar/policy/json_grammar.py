"""JSON (RFC 8259) as regular expressions that eat many members of an array or object in one match.

They run on text as `json_text` prepares it: valid UTF-8, no control characters in strings, escaped
quotation marks blotted out, so that the next one ends a string. Each expression is deterministic:
what follows a repeated part never begins like that part. So a match that fails costs a small
multiple of the text that it has seen, which `endpos` bounds. No group is possessive or atomic:
Python 3.11.0 to 3.11.4 match those wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

NESTED: Final = 2
"""How many containers inside each other a run eats as one member."""

_SPACE: Final = rb"[ \t\n\r]*"
# Numbers in runs are short, so that going back over one costs little; longer ones are read alone.
_SHORT: Final = rb"-?(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,20})?(?:[eE][-+]?[0-9]{1,20})?"
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?"
_ASCII: Final = rb"[ !#-\[\]-\x7f]*"
_NEVER: Final = rb"(?!)"

SCALAR: Final = re.compile(rb"%b|true|false|null" % _NUMBER)
SPACE: Final = re.compile(_SPACE)

_STRING: Final = rb'"[^"]*"'
_STRINGS: Final = re.compile(_STRING)
_INNERMOST: Final = re.compile(rb"[\[{][^\[\]{}]*[\]}]")


def _value(depth: int) -> bytes:
    forms = [_STRING, _SHORT, b"true", b"false", b"null"]
    if depth:
        inner = _value(depth - 1)
        # Not before the bracket: a comma that nothing follows.
        forms.append(rb"\[%b%b\]" % (_SPACE, _members(inner, rb"\]", comma=rb"(?!\])")))
        member = _member(_STRING, inner)
        forms.append(rb"\{%b%b\}" % (_SPACE, _members(member, rb"\}", comma=rb"(?!\})")))
    return b"(?:%b)" % b"|".join(forms)


def _member(key: bytes, value: bytes) -> bytes:
    return b"%b%b:%b%b" % (key, _SPACE, _SPACE, value)


def _members(member: bytes, closing: bytes, *, comma: bytes = b"") -> bytes:
    """Eat members that are whole: a comma or the bracket is behind each."""
    return b"(?:%b%b(?:,%b%b|(?=%b)))*" % (member, _SPACE, _SPACE, comma, closing)


def _object(key: bytes) -> re.Pattern[bytes]:
    return re.compile(_SPACE + _members(_member(key, _value(NESTED)), rb"\}"))


IN_ARRAY: Final = re.compile(_SPACE + _members(_value(NESTED), rb"\]"))
IN_OBJECT: Final = _object(_STRING)
"""What eats members from where one may begin, each with the comma behind it."""


def other_members(tokens: Iterable[str]) -> re.Pattern[bytes]:
    """Return what eats the members of an object that no token can name.

    Their keys are ASCII without escapes, and no token's in any case.
    """
    folded = {token.casefold() for token in tokens}
    barred = sorted(_in_any_case(name) for name in folded if name.isascii()) or [_NEVER]
    return _object(b'"(?!(?:%b)")%b"' % (b"|".join(barred), _ASCII))


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
