"""The difference of two JSON documents as a JSON Patch (RFC 6902). Pure."""

from __future__ import annotations

from typing import Any

Operation = dict[str, Any]


def difference(before: Any, after: Any, path: str = "") -> list[Operation]:  # noqa: ANN401 - JSON
    """Return the operations that turn `before` into `after`; none when they are equal.

    Objects are compared by key and lists by position, which suits lists that only grow at the
    end; any other change of a list's length replaces the list.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        return _objects(before, after, path)
    if isinstance(before, list) and isinstance(after, list) and len(before) <= len(after):
        return _lists(before, after, path)
    if type(before) is type(after) and before == after:
        return []
    return [{"op": "replace", "path": path, "value": after}]


def _objects(before: dict[str, Any], after: dict[str, Any], path: str) -> list[Operation]:
    operations: list[Operation] = [
        {"op": "remove", "path": f"{path}/{_escaped(key)}"} for key in before if key not in after
    ]
    for key, value in after.items():
        where = f"{path}/{_escaped(key)}"
        if key in before:
            operations += difference(before[key], value, where)
        else:
            operations.append({"op": "add", "path": where, "value": value})
    return operations


def _lists(before: list[Any], after: list[Any], path: str) -> list[Operation]:
    operations: list[Operation] = []
    for index, (old, new) in enumerate(zip(before, after, strict=False)):
        operations += difference(old, new, f"{path}/{index}")
    operations += [
        {"op": "add", "path": f"{path}/-", "value": value} for value in after[len(before) :]
    ]
    return operations


def _escaped(key: str) -> str:
    """Write a key as a token of a JSON Pointer (RFC 6901, section 3)."""
    return key.replace("~", "~0").replace("/", "~1")
