"""The difference of two documents, as a patch that a library of others applies."""

from __future__ import annotations

import copy
from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.inject.json_patch import difference

_SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | st.text("a~/0", max_size=3)
_DOCUMENTS = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("a~/0", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(before=_DOCUMENTS, after=_DOCUMENTS)
def test_applying_the_difference_gives_the_other(before: Any, after: Any) -> None:
    """Any document becomes any other one, down to true not being 1."""
    patch = difference(before, after)
    made = jsonpatch.apply_patch(copy.deepcopy(before), patch) if patch else before
    assert repr(_sorted(made)) == repr(_sorted(after))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


@given(document=_DOCUMENTS)
def test_equal_documents_do_not_differ(document: Any) -> None:
    """Nothing to do is no operation."""
    assert difference(document, copy.deepcopy(document)) == []


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ({}, {"a/b~c": 1}, [{"op": "add", "path": "/a~1b~0c", "value": 1}]),
        ({"a": [1]}, {"a": [1, 2]}, [{"op": "add", "path": "/a/-", "value": 2}]),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, [{"op": "replace", "path": "/a/0/b", "value": 2}]),
        ({"a": 1, "b": 2}, {"b": 2}, [{"op": "remove", "path": "/a"}]),
        ({"a": [1, 2]}, {"a": [2]}, [{"op": "replace", "path": "/a", "value": [2]}]),
        ({"a": 1}, {"a": True}, [{"op": "replace", "path": "/a", "value": True}]),
    ],
    ids=["escaped name", "appended", "inside a list", "removed", "shorter list", "type"],
)
def test_operations_are_small(before: Any, after: Any, operations: Any) -> None:
    """What stays is not written again, so that a reader of an audit log sees what was done."""
    assert difference(before, after) == operations
