"""The readings of a request path: how the product's stack may understand what the client sent.

Servers and frameworks differ: some resolve dot segments, strip `;params`, fold slashes, ignore
case, decode twice, and some do not. A single normal form would be right for one of them and a
way round the meter for the next. So a path has one *canonical* reading, which decides, and the
*other* readings that a stack in use may come to; `routing` lets a call through only where those
do not lead to a stricter route. What has no legitimate use is refused here at once.

Sources: RFC 3986 (sections 2.3, 5.2.4, 6.2.2), interface (Policy file), conformance 22.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import product
from typing import Final
from urllib.parse import unquote

Segments = tuple[str, ...]
"""A path split at its slashes, percent-decoded; `/` is the empty tuple."""

MAX_SEGMENTS: Final = 256
_MAX_ODDITIES: Final = 3
"""More kinds of odd spelling in one path than this, and it is refused: readings multiply."""

_UNRESERVED: Final = r"A-Za-z0-9\-._~"
_PLAIN: Final = re.compile(
    # Whole segments, none empty, none ending in a dot: one spelling, apart from case.
    r"/|(?:/[A-Za-z0-9\-._~!$&'()*+,=:@]*[A-Za-z0-9\-_~!$&'()*+,=:@])++"
)
_NOT_IN_A_PATH: Final = re.compile(r"[^\x21-\x7e]|[\\?#]")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_ENCODED_SEPARATOR: Final = re.compile(r"%(?:2F|5C)", re.IGNORECASE)
_ENCODED_CONTROL: Final = re.compile(r"%(?:[01][0-9A-F]|7F)", re.IGNORECASE)
_OVERLONG: Final = re.compile(r"%C[01]|%E0%[89][0-9A-F]|%F0%8[0-9A-F]", re.IGNORECASE)
_NEEDLESS_ESCAPE: Final = re.compile(
    # Escapes of characters that a segment may hold as they are (RFC 3986 pchar).
    r"%(?=2[146-9A-E]|3[0-9ABD]|4[0-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])",
    re.IGNORECASE,
)
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_DECODED_QUERY: Final = re.compile(r"[?#]")
_DOTS: Final = (".", "..")
_TAIL: Final = " ."


@dataclass(frozen=True, slots=True)
class UnsafePath:
    """The call must get 400 `bad_request`: the product could read it in more than one way."""

    detail: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to understand a path other than the canonical one.

    `exact`: compared with regard to case. `structure`: it differs by dot segments, parameters or
    a second decoding, not by spelling alone. `slash`: a trailing slash was kept.
    """

    segments: Segments
    exact: bool
    structure: bool
    slash: bool


@dataclass(frozen=True, slots=True)
class Readings:
    """The canonical reading, and the others that a stack may come to."""

    canonical: Segments
    others: tuple[Reading, ...]


class _RefusedError(Exception):
    """Ends the reading of a path; its text is the detail of the `UnsafePath`."""


def normalise(raw: str) -> str | UnsafePath:
    """Return the path as the interface compares it: idempotent, query not included.

    Escapes of unreserved characters are decoded, the hex of the others is upper case, dot segments
    are removed, repeated slashes folded. An encoded slash, backslash or control byte, and broken
    encoding, are unsafe.
    """
    try:
        _refuse_hazards(raw)
        text = _ESCAPE.sub(_decode_unreserved, raw)
        return "/" + "/".join(_fold_slashes(_resolve_dots(text[1:].split("/"))))
    except _RefusedError as refused:
        return UnsafePath(str(refused))


def readings(raw: str, *, case_sensitive: bool, patterns_fold: bool) -> Readings | UnsafePath:
    """Return every reading of a raw path.

    `patterns_fold` tells that some pattern has upper-case letters, so that even a lower-case
    path may match otherwise when case counts.
    """
    if _PLAIN.fullmatch(raw) and raw.count("/") <= MAX_SEGMENTS:
        segments = _segments(raw)
        if case_sensitive:
            return Readings(segments, ())
        folded = _segments(raw.lower())
        if folded == segments and not patterns_fold:
            return Readings(segments, ())
        return Readings(folded, (Reading(segments, exact=True, structure=False, slash=False),))
    try:
        return _odd_readings(raw, case_sensitive=case_sensitive, patterns_fold=patterns_fold)
    except _RefusedError as refused:
        return UnsafePath(str(refused))


def literal_segments(raw: str) -> Segments:
    """Split a path as it came, nothing decoded: enough where no route meters or denies."""
    return _segments(raw)


def fold_case(segment: str) -> str:
    """Return a segment as compared without regard to case."""
    return segment.casefold()


def _segments(path: str) -> Segments:
    return () if path == "/" else tuple(path[1:].split("/"))


def _refuse_hazards(raw: str) -> None:
    if not raw.startswith("/"):
        raise _RefusedError("the path does not start with '/'")
    if raw.count("/") > MAX_SEGMENTS:
        raise _RefusedError(f"the path has more than {MAX_SEGMENTS} segments")
    if found := _NOT_IN_A_PATH.search(raw):
        raise _RefusedError(f"the path has the character {found[0]!a}, which must be encoded")
    if _BAD_ESCAPE.search(raw):
        raise _RefusedError("the path has a '%' that starts no escape")
    if found := _ENCODED_SEPARATOR.search(raw):
        raise _RefusedError(f"the path has an encoded slash or backslash ({found[0]})")
    if found := _ENCODED_CONTROL.search(raw):
        raise _RefusedError(f"the path has an encoded control byte ({found[0]})")
    if found := _OVERLONG.search(raw):
        raise _RefusedError(f"the path has overlong UTF-8 ({found[0]})")


def _decode_unreserved(escape: re.Match[str]) -> str:
    char = chr(int(escape[0][1:], 16))
    return char if re.fullmatch(f"[{_UNRESERVED}]", char) else escape[0].upper()


def _resolve_dots(segments: list[str]) -> list[str]:
    """Remove dot segments (RFC 3986, 5.2.4).

    Two dots after an empty segment mean one thing where slashes are folded first, another where
    they are not: refused.
    """
    resolved: list[str] = []
    for segment in segments:
        if segment == "..":
            if resolved and resolved.pop() == "":
                raise _RefusedError("the path has '..' after an empty segment")
        elif segment != ".":
            resolved.append(segment)
    if segments[-1] in _DOTS:
        resolved.append("")
    return resolved


def _fold_slashes(segments: list[str]) -> list[str]:
    folded = [segment for segment in segments if segment]
    if segments and not segments[-1]:
        folded.append("")
    return folded or [""]


@dataclass(frozen=True, slots=True)
class _Choices:
    """What a stack may or may not do to a decoded path; the canonical reading does all of it."""

    parameters: bool = True  # strip `;...` of each segment
    tails: bool = True  # strip trailing dots and spaces of each segment
    dots: bool = True  # resolve dot segments
    slashes: bool = True  # fold repeated slashes
    last_slash: bool = True  # strip a trailing slash

    @property
    def structure(self) -> bool:
        return not (self.parameters and self.dots)


def _odd_readings(raw: str, *, case_sensitive: bool, patterns_fold: bool) -> Readings:
    _refuse_hazards(raw)
    once = _decode(raw)
    levels = [(once, False)]
    if (undecoded := _NEEDLESS_ESCAPE.sub("%25", raw)) != raw:
        levels.append((_decode(undecoded), False))
    if _ESCAPE.search(once):
        levels.append((_decode_again(once), True))
    if query := _DECODED_QUERY.search(once):  # split off by a stack that decodes first
        levels.append((once[: query.start()], True))
    canonical = _apply(once, _Choices())
    found: dict[Reading, None] = {}
    for text, structure in levels:
        odd = _oddities(text)
        if len(odd - {"last_slash"}) + len(levels) - 1 > _MAX_ODDITIES:
            raise _RefusedError("the path is spelt in too many odd ways at once")
        for done in product((True, False), repeat=len(odd)):
            choices = replace(_Choices(), **dict(zip(sorted(odd), done, strict=True)))
            reading = Reading(
                _apply(text, choices),
                exact=True,
                structure=structure or choices.structure,
                slash=not choices.last_slash,
            )
            found[reading] = None
            if not case_sensitive:
                found[replace(reading, segments=_folded(reading.segments), exact=False)] = None
    if case_sensitive:
        return Readings(canonical, tuple(found))
    plain_case = not patterns_fold
    return Readings(
        _folded(canonical),
        tuple(
            reading
            for reading in found
            if not (reading.exact and plain_case and _folded(reading.segments) == reading.segments)
        ),
    )


def _decode(text: str) -> str:
    # Bytes that are not UTF-8 stay apart from each other, and equal to themselves.
    return unquote(text, encoding="utf-8", errors="surrogateescape")


def _decode_again(once: str) -> str:
    twice = _decode(once).replace("\\", "/")
    if CONTROL.search(twice) or twice.count("/") > MAX_SEGMENTS:
        raise _RefusedError("the path hides a control byte or slashes by encoding them twice")
    return twice


def _folded(segments: Segments) -> Segments:
    return tuple(map(fold_case, segments))


def _oddities(text: str) -> set[str]:
    """Name the choices that make a difference for this text."""
    segments = text[1:].split("/")
    odd: set[str] = set()
    for segment in segments:
        if segment in _DOTS:
            odd.add("dots")
        elif segment.endswith((".", " ")):
            odd.add("tails")
        if ";" in segment:
            odd.add("parameters")
            if segment.partition(";")[0].endswith((".", " ")):
                odd.add("tails")
            if segment.startswith(";"):
                odd.add("slashes")
    if "" in segments[:-1]:
        odd.add("slashes")
    if len(segments) > 1 and (segments[-1] in ("", *_DOTS) or segments[-1].startswith(";")):
        odd.add("last_slash")
    return odd


def _apply(text: str, choices: _Choices) -> Segments:
    segments = text[1:].split("/")
    for segment in segments:
        name = segment.partition(";")[0]
        if segment not in _DOTS and name and not name.strip(_TAIL):
            # Dots and spaces alone, or before parameters, become a dot segment or nothing,
            # depending on what is stripped first.
            raise _RefusedError(f"the path has the segment {segment[:20]!a}")
    if choices.parameters:
        segments = [segment.partition(";")[0] for segment in segments]
    if choices.tails:
        segments = [s if s in _DOTS else s.rstrip(_TAIL) for s in segments]
    if choices.dots:
        segments = _resolve_dots(segments)
    if choices.slashes:
        segments = _fold_slashes(segments)
    if choices.last_slash:
        while segments and not segments[-1]:
            segments.pop()
    return () if segments == [""] else tuple(segments)
