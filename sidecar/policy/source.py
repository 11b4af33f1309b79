"""A YAML text as plain values, with the position of each, and every mistake of form.

Built on the parser's events instead of its loader: nothing is constructed but mappings, lists
and scalars, repeated keys are seen, nesting and aliases are bounded. Scalars are those of the
YAML 1.2 core schema, so that `no` is text and `1:30` is not a number; keys are always text.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

import yaml

from sidecar.policy.file import MAX_BYTES
from sidecar.policy.problems import PolicyProblem, Severity

Where = tuple[str | int, ...]
"""The way to a value: keys and indices from the root."""

_MAX_DEPTH: Final = 32
_MAX_VALUES: Final = 200_000
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BOOL: Final = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_INT: Final = re.compile(r"[-+]?[0-9]{1,30}")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,4})?")
_NOT_TEXT: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Position = tuple[int, int]
"""Line and column, from 1."""


class WrittenNumber(float):
    """A number with a point or an exponent, which keeps the digits of the file in `text`."""

    text: str

    def __new__(cls, text: str) -> Self:
        """Read a number; ValueError where it is none."""
        number = super().__new__(cls, text)
        number.text = text
        return number


@dataclass(slots=True)
class Document:
    """A file's value, and the positions of its parts."""

    file: str
    value: object = None
    problems: list[PolicyProblem] = field(default_factory=list)
    _seen: set[PolicyProblem] = field(default_factory=set)
    _values: dict[Where, Position] = field(default_factory=dict)
    _keys: dict[Where, Position] = field(default_factory=dict)

    def problem(
        self,
        where: Where,
        message: str,
        *,
        key: bool = False,
        unless: Container[Position] = (),
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Add a problem at a value, or at its key; a missing part is reported at its parent.

        Nothing is added at the positions of `unless`, whose values have their problem already.
        """
        here = self.resolve(where)
        value = self._values.get(here, (1, 1))
        if value not in unless:
            self.add(self._keys.get(here, value) if key else value, message, severity)

    def warn(self, where: Where, message: str) -> None:
        """Add a warning at a value: the policy can be used, but may not do what is meant."""
        self.problem(where, message, severity=Severity.WARNING)

    def note(self, where: Where, message: str) -> None:
        """Add what an author should know of a value, right as it is."""
        self.problem(where, message, severity=Severity.NOTE)

    def resolve(self, where: Where) -> Where:
        """Return `where` without what the document does not have: a validator's own names."""
        here: Where = ()
        for part in where:
            if (*here, part) in self._values:
                here = (*here, part)
        return here

    def line(self, where: Where) -> int:
        """Return the line of a value."""
        return self._values[where][0]

    def place(self, where: Where, position: Position, *, key: bool = False) -> None:
        """Note the position of a value, or of its key."""
        (self._keys if key else self._values)[where] = position

    def add(self, position: Position, message: str, severity: Severity = Severity.ERROR) -> None:
        """Add a problem at a position; the same one twice (by an alias) is one."""
        problem = PolicyProblem(self.file, *position, message, severity)
        if problem not in self._seen:
            self._seen.add(problem)
            self.problems.append(problem)


@dataclass(frozen=True, slots=True)
class _Node:
    """A list of nodes, a mapping's nodes by key, each with the position of the key, or a scalar."""

    position: Position
    value: list[_Node] | dict[str, tuple[Position, _Node]] | object


class _StopError(Exception):
    """The text cannot be read further."""

    def __init__(self, position: Position, message: str) -> None:
        super().__init__(message)
        self.position = position


def read_document(data: bytes, file: str) -> Document:
    """Read a file's bytes. Never raises for what is in them: see `problems`."""
    document = Document(file)
    try:
        builder = _Builder(_decode(data), document)
        node = builder.build()
        document.value = _Placer(document).place(node, ())
    except _StopError as stop:
        document.value = None
        document.add(stop.position, str(stop))
    return document


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        fix = "describe paths that share a meter by one pattern, such as /api/**"
        raise _StopError((0, 0), f"the file is larger than {MAX_BYTES >> 20} MiB: {fix}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        raise _StopError(_position(before), "not UTF-8: save the file as UTF-8") from None
    if found := _NOT_TEXT.search(text):
        raise _StopError(
            _position(text[: found.start()]), f"the character {found[0]!a} is not allowed in YAML"
        )
    return text


def _position(before: str) -> Position:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def _start(event: yaml.Event) -> Position:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1) if mark else (1, 1)


class _Builder:
    """Events to nodes; an alias is the node it names, shared."""

    def __init__(self, text: str, document: Document) -> None:
        self._events = _events(text)
        self._document = document
        self._anchors: dict[str, _Node] = {}

    def build(self) -> _Node:
        node: _Node | None = None
        for event in self._events:
            if isinstance(event, yaml.StreamStartEvent | yaml.DocumentEndEvent):
                continue
            if isinstance(event, yaml.DocumentStartEvent):
                if node is not None:
                    raise _StopError(_start(event), "a second document: keep one policy per file")
                node = self._node(next(self._events), 0)
        if node is None:
            raise _StopError((1, 1), "the file is empty: a policy starts with `version: 1`")
        return node

    def _node(self, event: yaml.Event, depth: int) -> _Node:
        position = _start(event)
        if depth > _MAX_DEPTH:
            raise _StopError(position, f"nested deeper than {_MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _StopError(position, f"alias *{event.anchor} names nothing that came before")
            return self._anchors[event.anchor]
        if not isinstance(event, yaml.NodeEvent):
            raise _StopError(position, "a value is missing")
        if getattr(event, "tag", None) not in (None, "!"):
            self._document.add(position, "a tag has no meaning here: leave it out")
        if isinstance(event, yaml.MappingStartEvent):
            node = _Node(position, self._map(depth))
        elif isinstance(event, yaml.SequenceStartEvent):
            items = self._until(yaml.SequenceEndEvent)
            node = _Node(position, [self._node(item, depth + 1) for item in items])
        else:
            node = _Node(position, self._scalar(event, position))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _map(self, depth: int) -> dict[str, tuple[Position, _Node]]:
        members: dict[str, tuple[Position, _Node]] = {}
        for event in self._until(yaml.MappingEndEvent):
            at = _start(event)
            key = event.value if isinstance(event, yaml.ScalarEvent) else None
            if key is None:
                self._node(event, depth + 1)
                self._document.add(at, "a key must be plain text")
            value = self._node(next(self._events), depth + 1)
            if key is None:
                continue
            if key in members:
                first = members[key][0][0]
                self._document.add(at, f"duplicate key `{key}`: it is on line {first} already")
            else:
                members[key] = (at, value)
        return members

    def _until(self, end: type[yaml.Event]) -> Iterator[yaml.Event]:
        while not isinstance(event := next(self._events), end):
            yield event

    def _scalar(self, event: yaml.Event, position: Position) -> object:
        assert isinstance(event, yaml.ScalarEvent)  # noqa: S101  nodes are of four kinds
        text = event.value
        if event.style not in (None, "") or event.tag is not None:
            return text
        if text in _NULL:
            self._document.add(
                position,
                "nothing is given here: give a value, or leave out the key where it is optional",
            )
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return WrittenNumber(text)
        return text


def _events(text: str) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        parts = [part for part in (error.context, error.problem) if part]
        raise _StopError(position, f"not YAML: {', '.join(parts)}") from None
    except yaml.YAMLError as error:
        raise _StopError((1, 1), f"not YAML: {' '.join(str(error).split())}") from None


class _Placer:
    """Nodes to plain values, with the position of each; aliases are written out, within bounds."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_VALUES

    def place(self, node: _Node, where: Where) -> object:
        self._left -= 1
        if self._left < 0 or len(where) > _MAX_DEPTH:
            raise _StopError(node.position, "the aliases expand to too much: write it out")
        self._document.place(where, node.position)
        if isinstance(node.value, list):
            return [self.place(item, (*where, i)) for i, item in enumerate(node.value)]
        if not isinstance(node.value, dict):
            return node.value
        values = {}
        for key, (position, item) in node.value.items():
            values[key] = self.place(item, (*where, key))
            self._document.place((*where, key), position, key=True)
        return values
