"""The readings of a request path: how the product's stack may understand what the client sent.

Servers and frameworks differ: some resolve dot segments, strip `;params`, fold slashes, ignore
case, decode twice, and some do not. A single normal form would be right for one of them and a
way round the meter for the next. So a path has one *canonical* reading, which decides, and
*other* readings: all that comes out of the steps in `path_steps`, in any order. `routing` lets a
call through only where those do not lead to a stricter route.

Sources: RFC 3986 (sections 2.3, 5.2.4, 6.2.2), the URL standard of browsers (WHATWG).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sidecar.policy import path_steps
from sidecar.policy.path_steps import DOTS, STEPS, TAIL, fold_case

Segments = tuple[str, ...]
"""A path split at its slashes, percent-decoded; `/` is the empty tuple."""

WHOLE_SERVER: Final = "*"
"""The target of `OPTIONS *`: decided as `/`; some servers read it as the path `/*`."""

MAX_SEGMENTS: Final = 256
MAX_READINGS: Final = 128
"""A path with more readings is refused: spellings multiply."""
_MAX_READ: Final = 16_384
"""Characters in all readings of a path together: reading one takes some 4 ms then."""

_PLAIN: Final = re.compile(r"/[A-Za-z0-9\-._~!$&'()*,=:@/]*")
_ODD: Final = ("//", "./")
_NOT_IN_A_PATH: Final = re.compile(r"[^\x21-\x7e]|[?#]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CANONICAL: Final = (
    path_steps.decode_but_separators,
    path_steps.strip_parameters,
    path_steps.strip_tails,
    path_steps.resolve_dots,
    path_steps.fold_slashes,
    path_steps.strip_last_slash,
)


@dataclass(frozen=True, slots=True)
class UnsafePath:
    """The call must get 400 `bad_request`: the product could read it in more than one way."""

    detail: str


@dataclass(frozen=True, slots=True)
class PathReading:
    """One way to understand a path; `exact`: compared with regard to case."""

    segments: Segments
    exact: bool

    @property
    def slash(self) -> bool:
        """Whether a trailing slash was kept."""
        return self.segments[-1:] == ("",)

    @property
    def empty(self) -> bool:
        """Whether some slash was kept that others fold or strip: only `**` takes its segment."""
        return "" in self.segments


@dataclass(frozen=True, slots=True)
class Readings:
    """The canonical reading, and the others that a stack may come to."""

    canonical: Segments
    others: tuple[PathReading, ...]


class _RefusedError(Exception):
    """Ends the reading of a path; its text is the detail of the `UnsafePath`."""


def normalise(raw: str) -> str | UnsafePath:
    """Return the path as people compare it: idempotent, query not included.

    Escapes of unreserved characters are decoded, the hex of the others is upper case, dot segments
    are removed, repeated slashes folded.
    """
    if raw == WHOLE_SERVER:
        return raw
    try:
        _refuse_hazards(raw)
        text = path_steps.decode_unreserved(raw)
        text = path_steps.fold_slashes(path_steps.resolve_dots(text))
        _refuse_shape(text)
    except _RefusedError as refused:
        return UnsafePath(str(refused))
    return text


def readings(raw: str, *, case_sensitive: bool, patterns_fold: bool) -> Readings | UnsafePath:
    """Return every reading of a raw path, at most `MAX_READINGS` and their forms in lower case.

    `patterns_fold`: some pattern has upper-case letters, so that even a lower-case path may match
    otherwise when case counts.
    """
    if raw == WHOLE_SERVER:
        return Readings((), (PathReading((WHOLE_SERVER,), exact=case_sensitive),))
    if _is_plain(raw):
        segments = literal_segments(raw)
        if case_sensitive:
            return Readings(segments, ())
        folded = literal_segments(raw.lower())
        if folded == segments and not patterns_fold:
            return Readings(segments, ())
        return Readings(folded, (PathReading(segments, exact=True),))
    try:
        return _odd_readings(raw, case_sensitive=case_sensitive, patterns_fold=patterns_fold)
    except _RefusedError as refused:
        return UnsafePath(str(refused))


def _is_plain(raw: str) -> bool:
    """Whether there is one spelling only, apart from case: what most paths are."""
    return (
        raw == "/"
        or (
            _PLAIN.fullmatch(raw) is not None
            and not any(odd in raw for odd in _ODD)
            and not raw.endswith((".", "/"))
        )
    ) and raw.count("/") <= MAX_SEGMENTS


def literal_segments(path: str) -> Segments:
    """Split a path at its slashes; nothing is decoded."""
    return () if path == "/" else tuple(path[1:].split("/"))


def _refuse_hazards(raw: str) -> None:
    """Refuse what no list of readings can bound."""
    if not raw.startswith("/"):
        raise _RefusedError("the path does not start with '/'")
    if len(raw) > _MAX_READ:
        raise _RefusedError(f"the path is odd and has more than {_MAX_READ} characters")
    if found := _NOT_IN_A_PATH.search(raw):
        raise _RefusedError(f"the path has the character {found[0]!a}, which must be encoded")
    if _BAD_ESCAPE.search(raw):
        raise _RefusedError("the path has a '%' that starts no escape")
    _refuse_shape(raw)


def _refuse_shape(text: str) -> None:
    if text.count("/") > MAX_SEGMENTS:
        raise _RefusedError(f"the path has more than {MAX_SEGMENTS} segments")
    for segment in text.split("/"):
        # Dots and spaces alone become a dot segment or nothing, depending on what is stripped.
        if segment[:1] in TAIL and segment not in DOTS and segment and not segment.strip(TAIL):
            raise _RefusedError(f"the path has the segment {segment[:20]!a}")


def _odd_readings(raw: str, *, case_sensitive: bool, patterns_fold: bool) -> Readings:
    _refuse_hazards(raw)
    text = raw
    for step in _CANONICAL:
        text = step(text)
    canonical = literal_segments(text)
    found: dict[PathReading, None] = {}
    for each in _texts(raw):
        segments = literal_segments(each)
        if case_sensitive:
            found[PathReading(segments, exact=True)] = None
            continue
        folded = _folded(segments)
        found[PathReading(folded, exact=False)] = None
        if patterns_fold or folded != segments:
            found[PathReading(segments, exact=True)] = None
    decides = PathReading(canonical if case_sensitive else _folded(canonical), exact=case_sensitive)
    found.pop(decides, None)
    return Readings(decides.segments, tuple(found))


def _texts(raw: str) -> list[str]:
    """Return all that comes out of the steps, in any order, from the path as it came."""
    texts = [raw]
    known = {raw}
    left = _MAX_READ - len(raw)
    for text in texts:  # grows while it is read
        for step in STEPS:
            after = step(text)
            if after in known:
                continue
            _refuse_shape(after)
            left -= len(after)
            if left < 0 or len(texts) >= MAX_READINGS:
                raise _RefusedError("the path is spelt in too many odd ways at once")
            known.add(after)
            texts.append(after)
    return texts


def _folded(segments: Segments) -> Segments:
    return tuple(map(fold_case, segments))
