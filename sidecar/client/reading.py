"""From the JSON of an answer to a result, as the annotations of `results` say. Pure.

Where only our choice says a shape, a bare list is taken for the list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, get_type_hints

from sidecar.client.members import MemberReader, Members, MisreadError, members_of, quota_of
from sidecar.client.results import (
    Consumption,
    FoundRecord,
    RecordPage,
    WebhookTest,
    WorkspaceRecord,
)

T = TypeVar("T")

_RESULTS: Final = ("results", "records", "items")


def one(kind: type[T], **others: MemberReader) -> Callable[[object], T]:
    """Return what reads an object as a result of this kind, or raises MisreadError.

    `others` read the fields whose annotation does not say how.
    """
    hints = get_type_hints(kind, include_extras=True)
    readers = {name: others.get(name) or hint.__metadata__[0] for name, hint in hints.items()}

    def read(value: object) -> T:
        members = members_of(value)
        return kind(**{name: reader(members, name) for name, reader in readers.items()})

    return read


def several(kind: type[T], *names: str) -> Callable[[object], tuple[T, ...]]:
    """Return what reads each object of a list: the answer, or in it under one of `names`."""
    read = one(kind)
    return lambda value: tuple(map(read, _items(value, names)))


def read_consumption(value: object, resource: str, key: str) -> Consumption:
    """Read the answer of consume. Raises MisreadError."""
    answer = members_of(value)
    allowed = answer.get("allowed")
    if not isinstance(allowed, bool):
        raise MisreadError("`allowed` is no boolean")
    if answer.get("resource") != resource:
        raise MisreadError(f"`resource` is not {resource!r}")
    return Consumption(allowed, quota_of(answer, resource), key)


def read_page(value: object) -> RecordPage:
    """Read a page of records. Raises MisreadError."""
    records = several(WorkspaceRecord, "records")
    return one(RecordPage, records=lambda members, _: records(members))(value)


def read_found(value: object) -> tuple[FoundRecord, ...]:
    """Read what a search found: records, each with its score. Raises MisreadError."""
    record = one(WorkspaceRecord)
    read = one(FoundRecord, record=lambda members, _: record(members))
    return tuple(map(read, _items(value, _RESULTS)))


def read_webhook_test(value: object) -> WebhookTest:
    """Read the answer of a test; nothing of its shape is published [ours]."""
    return one(WebhookTest)(value if isinstance(value, dict) else {})


def read_detail(value: object) -> str:
    """Return the `detail` of an error body as one line: its text, or the fields of a 422."""
    detail = value.get("detail") if isinstance(value, dict) else None
    if isinstance(detail, list):
        return "; ".join(_field_problem(each) for each in detail[:10])
    return " ".join(detail.split())[:500] if isinstance(detail, str) else ""


def _items(value: object, names: tuple[str, ...]) -> list[Members]:
    found = value
    if not isinstance(value, list):
        answer = members_of(value)
        found = next((answer[name] for name in names if isinstance(answer.get(name), list)), None)
    if not isinstance(found, list):
        raise MisreadError(f"no list {' or '.join(f'`{name}`' for name in names)}")
    return [members_of(each, "an item") for each in found]


def _field_problem(problem: object) -> str:
    if not isinstance(problem, dict):
        return str(problem)[:200]
    where = problem.get("loc")
    place = ".".join(map(str, where)) if isinstance(where, list) else "?"
    return f"{place}: {problem.get('msg')}"[:200]
