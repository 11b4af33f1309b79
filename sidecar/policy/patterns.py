"""Path patterns: what a route's `path` may say, and what it says.

`*` is one segment, `**` any number, none included. Text is compared percent-decoded, so a
pattern is written with the characters themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sidecar.policy.path_steps import CONTROL, fold_case
from sidecar.policy.paths import Segments

ONE: Final = "*"
ANY: Final = "**"
_FORBIDDEN: Final = {
    ";": "parameters are stripped before paths are compared",
    "?": "the query is not part of the path",
    "#": "a fragment is never sent",
    "\\": "no path with a backslash is let through",
    "%": "write the character itself, paths are compared decoded",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed path pattern; `segments` hold literals, `*` and `**`."""

    text: str
    segments: Segments

    def folded(self) -> Segments:
        """Return the segments as compared without regard to case."""
        return tuple(map(fold_case, self.segments))

    def symbol(self, *, case_sensitive: bool) -> Segments:
        """Return a path that stands for every path of this pattern.

        A pattern that matches it matches all of them: no literal equals the symbol of `*`, and
        only `**` takes in an empty segment, which is the symbol of `**`.
        """
        stands_for = {ONE: "\0", ANY: ""}
        segments = self.segments if case_sensitive else self.folded()
        return tuple(stands_for.get(segment, segment) for segment in segments)


def parse_pattern(text: str) -> Pattern:
    """Parse a pattern; a trailing slash means nothing. Raises ValueError with the fix."""
    if not text.startswith("/"):
        raise ValueError(f"path {text!r} must start with '/'")
    for char, why in _FORBIDDEN.items():
        if char in text:
            raise ValueError(f"path {text!r} must not contain {char!r}: {why}")
    if CONTROL.search(text):
        raise ValueError(f"path {text!r} must not contain control characters")
    segments = () if text == "/" else tuple(text[1:].removesuffix("/").split("/"))
    for previous, segment in zip(("", *segments), segments, strict=False):
        _check_segment(text, previous, segment)
    return Pattern(text, segments)


def _check_segment(text: str, previous: str, segment: str) -> None:
    if not segment:
        raise ValueError(f"path {text!r} has an empty segment: repeated slashes are folded")
    if segment in (".", ".."):
        raise ValueError(f"path {text!r} has a dot segment: write the path it leads to")
    if segment == previous == ANY:
        raise ValueError(f"path {text!r} has '**' twice in a row: once is enough")
    if segment in (ONE, ANY):
        return
    if "*" in segment:
        raise ValueError(f"path {text!r}: '*' and '**' stand for whole segments, not {segment!r}")
    if segment[-1] in ". ":
        raise ValueError(f"path {text!r}: segment {segment!r} must not end in a dot or a space")
