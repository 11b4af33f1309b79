"""The typed model, its JSON Schema and the page that explains it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from sidecar.policy import schema, usage_schema

ROOT: Final = Path(__file__).parents[3]
POLICIES: Final = sorted((ROOT / "policies").glob("*.yaml"))
SPECS: Final = [
    value
    for value in (vars(schema) | vars(usage_schema)).values()
    if isinstance(value, type) and issubclass(value, BaseModel) and value is not BaseModel
]


def names_of(spec: type[BaseModel]) -> Iterator[str]:
    """Give the keys of a mapping of the file."""
    for name, field in spec.model_fields.items():
        yield field.alias or name


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """The schema as an editor uses it."""
    document = schema.json_schema()
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


def test_schema_file_is_in_step() -> None:
    """After a change: `python -m sidecar.policy.schema > policies/schema.json`."""
    assert (ROOT / "policies" / "schema.json").read_text("utf-8") == schema.schema_text()


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_shipped_policies_fit_the_schema(
    path: Path, validator: jsonschema.Draft202012Validator
) -> None:
    """An editor marks nothing in them."""
    assert [
        error.message for error in validator.iter_errors(yaml.safe_load(path.read_bytes()))
    ] == []


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"extra": 1},
        {"unmatched": None},
        {"identity": [{"cookie": "a", "bearer": True}]},
        {"routes": []},
        {"routes": [{"name": "a", "match": {"path": "/a"}}]},
        {"routes": [{"name": "a", "match": {"path": "/a"}, "meter": {}, "action": "deny"}]},
        {"routes": [{"name": "a", "match": {"path": "a"}, "meter": {}}]},
        {"routes": [{"name": "a", "match": {"path": "/a"}, "meter": {"amount": 0}}]},
        {"defaults": {"deny_status": 200}},
        {"defaults": {"platform_timeout": "1 day"}},
    ],
)
def test_schema_refuses_what_the_model_refuses(
    change: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    """An editor marks these mistakes as they are typed."""
    good = {
        "version": 1,
        "product": "a",
        "routes": [{"name": "a", "match": {"path": "/a"}, "meter": {}}],
    }
    assert list(validator.iter_errors(good)) == []
    assert list(validator.iter_errors({**good, **change})) != []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_field_says_what_it_is_for(spec: type[BaseModel]) -> None:
    """Editors show the description beside the key."""
    assert [name for name, field in spec.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.__name__)
def test_every_field_is_on_the_reference_page(spec: type[BaseModel]) -> None:
    """A key that the page does not have in a table does not exist for users."""
    page = (ROOT / "docs" / "policy-reference.md").read_text("utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(names_of(spec)) <= documented


def test_meter_has_no_defaults_of_its_own() -> None:
    """What a meter leaves out comes from `defaults`; the schema must not say otherwise."""
    definitions = schema.json_schema()["$defs"]
    assert all("default" not in value for value in definitions["MeterSpec"]["properties"].values())
    assert definitions["DefaultsSpec"]["properties"]["deny_status"]["default"] == 429
