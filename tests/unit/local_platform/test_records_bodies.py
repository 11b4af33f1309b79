"""What a record may hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from sidecar.local_platform.records import RecordBody

GOOD = {
    "org_id": "o",
    "source_product": "p",
    "record_type": "t",
    "source_ref": "r",
    "title": "x",
}


@pytest.mark.parametrize("field", GOOD)
def test_what_the_contract_requires_is_required(field: str) -> None:
    """Each of the five."""
    fields = {name: value for name, value in GOOD.items() if name != field}

    with pytest.raises(ValidationError, match=field):
        RecordBody.model_validate_json(json.dumps(fields))


@pytest.mark.parametrize("meta", [[], "x", 1, None])
def test_meta_is_an_object(meta: Any) -> None:
    """No other JSON value."""
    with pytest.raises(ValidationError, match="meta"):
        RecordBody.model_validate_json(json.dumps({**GOOD, "meta": meta}))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_meta_holds_no_number_that_json_has_not(number: float) -> None:
    """Python writes and reads them; others could not read the record."""
    with pytest.raises(ValidationError, match="meta"):
        RecordBody.model_validate_json(json.dumps({**GOOD, "meta": {"deep": [number]}}))


def test_a_record_is_active_when_nothing_is_said() -> None:
    """The status that publishing answers with."""
    assert RecordBody.model_validate_json(json.dumps(GOOD)).status == "active"
