"""Where a caller's token is found. Pure, and on the hot path: bytes are searched, not split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Final, assert_never

from sidecar.domain.credentials import BearerSource, CookieSource, IdentityFailure, IdentitySource
from sidecar.domain.model import Headers

PLATFORM_SESSION: Final = "bb_session"
"""The platform's own cookie, which is never read (contract, The access token)."""

_NEVER_READ: Final = frozenset({PLATFORM_SESSION, ""})
_BLANKS: Final = b" \t"
_BLANK: Final = frozenset((*range(0x21), *range(0x7F, 0x100)))
"""What some server strips from a cookie's name: Python decodes it as Latin-1 and strips `\\xa0`."""

_BEFORE_NAME: Final = _BLANK | frozenset(b";,")
"""What ends the cookie before to some server: to aiohttp a comma, to http.cookies a blank."""

_EQUALS: Final = 0x3D
_SCHEME: Final = b"bearer"
_name_of: Final = itemgetter(0)
_REMEMBERED_LENGTH: Final = 8192  # of a Cookie line; longer ones are searched each time


def find_credential(
    headers: Headers, sources: Sequence[IdentitySource]
) -> tuple[IdentitySource, bytes] | IdentityFailure:
    """Take the token of the first source that is present; MISSING when none is.

    A cookie with an empty value is what a logout leaves behind, and counts as absent. A source
    that is present twice is AMBIGUOUS: the product might read the other one.
    """
    cookies: list[bytes] | None = None
    for source in sources:
        match source:
            case CookieSource():
                if source.name in _NEVER_READ:
                    continue
                if cookies is None:
                    cookies = _values_of(b"cookie", headers)
                name = source.name.encode()
                if len(cookies) == 1 and len(cookies[0]) <= _REMEMBERED_LENGTH:
                    token = _cookie_of(cookies[0], name)
                else:
                    found = [value for line in cookies for value in _values(line, name)]
                    token = _only(found)
            case BearerSource():
                token = _bearer(headers)
            case _:
                assert_never(source)
        if token is None:
            continue
        if isinstance(token, IdentityFailure):
            return token
        return source, token
    return IdentityFailure.MISSING


def _values_of(name: bytes, headers: Headers) -> list[bytes]:
    """Return the values of one field; most heads have it once, which C finds soonest."""
    names = list(map(_name_of, headers))
    if names.count(name) == 1:
        return [headers[names.index(name)][1]]
    return [value for each, value in headers if each == name]


@lru_cache(maxsize=1024)
def _cookie_of(line: bytes, name: bytes) -> bytes | IdentityFailure | None:
    """Find one cookie's value in one line; a client sends the same line again and again."""
    return _only(_values(line, name))


def _only(found: list[bytes]) -> bytes | IdentityFailure | None:
    if len(found) > 1:
        return IdentityFailure.AMBIGUOUS
    return found[0].strip(_BLANKS) or None if found else None


def _values(line: bytes, name: bytes) -> list[bytes]:
    """Find a cookie's values in a Cookie line (RFC 6265, 4.2).

    Also those that only some servers see: a second cookie must not hide behind a blank or a comma.
    """
    found: list[bytes] = []
    at = line.find(name)
    while at >= 0:
        equals = _equals_after(line, at + len(name))
        if equals and (not at or line[at - 1] in _BEFORE_NAME):
            end = line.find(b";", equals)
            found.append(line[equals:] if end < 0 else line[equals:end])
        at = line.find(name, at + len(name))
    return found


def _equals_after(line: bytes, at: int) -> int:
    """Return where the value begins when an equals sign follows `at`, else 0."""
    length = len(line)
    while at < length and line[at] in _BLANK:
        at += 1
    return at + 1 if at < length and line[at] == _EQUALS else 0


def _bearer(headers: Headers) -> bytes | IdentityFailure | None:
    """Take the token of `Authorization: Bearer` (RFC 6750 section 2.1); None for other schemes."""
    lines = _values_of(b"authorization", headers)
    if not lines:
        return None
    if len(lines) > 1:
        return IdentityFailure.AMBIGUOUS
    value = lines[0]
    rest = value[len(_SCHEME) :]
    if value[: len(_SCHEME)].lower() != _SCHEME or (rest and rest[0] not in _BLANK):
        return None
    return rest.strip(b" ")  # a tab stays, and makes the token malformed
