"""No credential in a log: what looks like one, what is named like one, and what is known to be one.

Pure but for the list of known secrets. Applied to every field of every record, texts of exceptions
included (architecture, Rules that hold, 5).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

MASK: Final = "***"

_SHORTEST_SECRET: Final = 4
_MAX_TEXT: Final = 65_536
_MAX_DEPTH: Final = 6
_MAX_ITEMS: Final = 100

_NAMED: Final = re.compile(
    r"authorization|cookie|secret|token|passw|credential|api[_-]?key|internal[_-]?key|private[_-]?key",
    re.IGNORECASE,
)
_PATTERNS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # A header line of credentials, as text or in a repr: the rest of the line goes. No boundary
    # before the name, because in a repr of a head `\\n` stands there.
    (
        re.compile(
            r"(authorization|cookie|x-internal-key)"
            r"(['\"]?\s*[:=,]\s*)[^\r\n]+",
            re.IGNORECASE,
        ),
        rf"\1\2{MASK}",
    ),
    # Not the next word of a sentence: a token has a digit, or is longer than words are.
    (
        re.compile(
            r"(bearer)\s+"
            r"(?:[A-Za-z0-9._~+/=-]{20,}|(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{4,})",
            re.IGNORECASE,
        ),
        rf"\1 {MASK}",
    ),
    (re.compile(r"bb(as|k)_[A-Za-z0-9_\-]+"), rf"bb\1_{MASK}"),
    # A token in the compact form of RFC 7515 or 7516, whole or cut short.
    (re.compile(r"eyJ[A-Za-z0-9_=-]*(?:\.[A-Za-z0-9_=-]*){0,4}"), f"eyJ{MASK}"),
    # A user name and password in a URL.
    (re.compile(r"(?<=://)[^/\s@'\"]+@"), f"{MASK}@"),
    # A parameter, or a member of JSON, named like a credential.
    (
        re.compile(
            r"((?:secret|token|passw(?:or)?d|api[_-]?key)['\"]?(?:=|%3D|:)\s*['\"]?)[^\s&;,'\"}]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
)


class Redactor:
    """Masks credentials in text and values. Secrets can be added while it is in use."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: tuple[str, ...] = ()
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Mask this value too, wherever it stands: plain, percent-encoded or in base64.

        Values under 4 characters are left out: masking them would eat words.
        """
        if len(secret) < _SHORTEST_SECRET:
            return
        raw = secret.encode("utf-8", "surrogateescape")
        forms = {
            secret,
            quote(raw, safe=""),
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        }
        # Longest first, so that no form is left half masked by a shorter one within it.
        self._known = tuple(sorted({*self._known, *forms}, key=len, reverse=True))

    def text(self, text: str) -> str:
        """Return the text with every credential in it masked, and cut where it is far too long."""
        text = text[:_MAX_TEXT]
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, MASK)
        for pattern, mask in _PATTERNS:
            text = pattern.sub(mask, text)
        return text

    def value(self, name: str, value: object) -> object:
        """Return what may be logged of a field: plain data, masked by its name and its content."""
        return self._value(name, value, _MAX_DEPTH)

    def _value(self, name: str, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        if _NAMED.search(name):
            return MASK
        if isinstance(value, bytes):
            return self.text(value.decode("latin-1"))
        if isinstance(value, str):
            return self.text(value)
        if depth > 0 and isinstance(value, Mapping):
            return {
                self.text(str(key)): self._value(str(key), item, depth - 1)
                for key, item in list(value.items())[:_MAX_ITEMS]
            }
        if depth > 0 and isinstance(value, list | tuple | set | frozenset):
            return [self._value(name, item, depth - 1) for item in list(value)[:_MAX_ITEMS]]
        return self.text(_described(value))


def _described(value: object) -> str:
    """Write any other object; a broken `__str__` must not lose the record."""
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 (a log never raises, whatever it is given)
        return f"<{type(value).__name__}: {type(error).__name__} in __str__>"
