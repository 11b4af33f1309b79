"""One value out of a JSON body (RFC 6901), unless two parsers could read it in two ways.

The product parses the same body with a parser we do not know. JSON leaves open what a repeated
key means (RFC 8259, section 4), and widely used parsers match keys without regard to case. A
body that says the metered value twice, in either sense, is refused rather than priced by a guess.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

import orjson

_TOKEN_ESCAPE: Final = re.compile(r"~[01]")
_BAD_ESCAPE: Final = re.compile(r"~(?![01])")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_PLAIN_TOKEN: Final = re.compile(r"[A-Za-z0-9_.$@-]+")


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing is where the pointer points."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The body cannot be read, or not in one way only; `detail` says why."""

    detail: str


class _Object(list[tuple[str, object]]):
    """An object as the pairs that were written, repeated keys included."""


@dataclass(frozen=True, slots=True)
class JsonPointer:
    """A parsed pointer. `escaped` finds an escape that could spell one of its tokens.

    `quoted` are the tokens as they stand in a body, or None when a token has characters with
    several spellings, so that counting its occurrences proves nothing.
    """

    text: str
    tokens: tuple[str, ...]
    escaped: re.Pattern[bytes]
    quoted: tuple[bytes, ...] | None

    @classmethod
    def parse(cls, text: str) -> JsonPointer:
        """Parse `/a/b~1c/0`. Raises ValueError for what RFC 6901 does not allow.

        The empty pointer (the whole document) is refused as well: no amount is a whole body.
        """
        if not text.startswith("/"):
            raise ValueError(f"JSON pointer {text!r} must start with '/'")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"JSON pointer {text!r} has a '~' that is not '~0' or '~1'")
        tokens = tuple(
            _TOKEN_ESCAPE.sub(lambda m: "~" if m[0] == "~0" else "/", token)
            for token in text[1:].split("/")
        )
        plain = all(_PLAIN_TOKEN.fullmatch(token) for token in tokens)
        spellings = {f"{ord(char):02x}" for token in tokens for char in token} if plain else {"zz"}
        return cls(
            text=text,
            tokens=tokens,
            escaped=re.compile(rf"\\u00(?:{'|'.join(sorted(spellings))})".encode(), re.IGNORECASE),
            quoted=tuple(f'"{token}"'.encode() for token in tokens) if plain else None,
        )

    def find(self, body: bytes) -> object | Missing | Unreadable:
        """Return the value pointed at; `Missing` also for an empty body.

        Strict JSON in UTF-8 only: no NaN, no comments, no byte-order mark; nesting is bounded.
        """
        if not body:
            return Missing()
        try:
            document: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            return Unreadable("the body is not valid JSON in UTF-8")
        found = self._walk(document)
        if isinstance(found, Unreadable) or not self._could_repeat(body):
            return found
        return self._repeated(body) or found

    def _walk(self, document: object) -> object | Missing | Unreadable:
        here = document
        for token in self.tokens:
            if isinstance(here, dict):
                folded = token.casefold()
                if any(key != token and key.casefold() == folded for key in here):
                    return Unreadable(f"the body has keys that differ from {token!r} only in case")
                if token not in here:
                    return Missing()
                here = here[token]
            elif isinstance(here, list):
                if not _INDEX.fullmatch(token) or int(token) >= len(here):
                    return Missing()
                here = here[int(token)]
            else:
                return Missing()
        return here

    def _could_repeat(self, body: bytes) -> bool:
        r"""Whether a key on the way may occur twice: cheap, never wrong when it says no.

        A key of plain characters is written as itself or with `\u00xx`, in no third way.
        """
        if self.quoted is None or self.escaped.search(body):
            return True
        return any(body.count(token) > 1 for token in self.quoted)

    def _repeated(self, body: bytes) -> Unreadable | None:
        try:
            here: object = json.loads(body, object_pairs_hook=_Object)
        except (ValueError, RecursionError):
            return Unreadable("the body is nested too deeply")
        for token in self.tokens:
            if isinstance(here, _Object):
                values = [value for key, value in here if key == token]
                if len(values) > 1:
                    return Unreadable(f"the body has the key {token!r} more than once")
                if not values:
                    return None
                here = values[0]
            elif isinstance(here, list) and _INDEX.fullmatch(token) and int(token) < len(here):
                here = here[int(token)]
            else:
                return None
        return None
