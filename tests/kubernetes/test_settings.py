"""The chart sets what the sidecar reads, with the same defaults and within the same limits."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from helm_python import HelmError

from sidecar.settings.authz import AUTHZ_SECTIONS
from sidecar.settings.fields import Option, options
from sidecar.settings.ranges import Ranged
from sidecar.settings.run import SECTIONS
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import CHART, chart, only, render

SETTINGS: dict[str, Option] = {option.env: option for option in options(*SECTIONS.values())}
OTHER = {"APP_SESSION_SECRET", "BIZBASICS_API_KEY", "PLATFORM_INTERNAL_KEY", "SSL_CERT_FILE"}
"""Variables that the sidecar or the policy reads and that are no settings."""

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = (chart().schema or {})["properties"]["settings"]["properties"]


def option_of(name: str) -> Option:
    """Return the setting that a value under `settings` becomes."""
    snake = "".join(f"_{c}" if c.isupper() else c for c in name)
    return SETTINGS[f"SIDECAR_{snake.upper()}"]


def test_every_variable_that_the_chart_sets_is_read() -> None:
    """A variable of a setting that was renamed would be ignored without a word."""
    made = only(render({**GOOD["gateway-everything"], "extraEnv": []}), "Deployment")
    (container,) = made["spec"]["template"]["spec"]["containers"]
    named = {each["name"] for each in container["env"]}
    assert "SIDECAR_MAX_INFLIGHT" in named
    assert named - set(SETTINGS) - OTHER == set()


def test_every_variable_of_a_door_is_read() -> None:
    """As for the proxy; the one for gRPC only while that is on."""
    for name, kind in (("authz", "Deployment"), ("authz-everything", "StatefulSet")):
        made = only(render({**GOOD[name], "extraEnv": []}), kind)
        (container,) = made["spec"]["template"]["spec"]["containers"]
        named = {each["name"] for each in container["env"]}
        read = {option.env for option in options(*AUTHZ_SECTIONS.values())}
        assert ("SIDECAR_GRPC" in named) == (name == "authz-everything")
        assert named - read - OTHER == set()


def test_a_setting_that_a_door_has_not_is_refused() -> None:
    """It would be ignored without a word."""
    read = {option.env for option in options(*AUTHZ_SECTIONS.values())}
    for name, schema in SCHEMA.items():
        if option_of(name).env not in read:
            with pytest.raises(HelmError, match=f"settings.{name}: mode authz has no such"):
                render({**GOOD["authz"], "settings": {name: _a_value(schema)}})


def _a_value(schema: dict[str, Any]) -> Any:
    """Return a value that a schema takes."""
    if schema["type"] == "integer":
        return schema["minimum"]
    return "https://notes.example.com/hook" if "https?" in schema["pattern"] else "name"


def test_the_chart_has_the_defaults_of_the_sidecar() -> None:
    """What it always sets is what the sidecar would take by itself."""
    assert VALUES["listenAddress"] == SETTINGS["SIDECAR_HOST"].default
    assert VALUES["ports"]["http"] == SETTINGS["PORT"].default
    assert VALUES["ports"]["admin"] == SETTINGS["SIDECAR_ADMIN"].default.port
    assert VALUES["drain"]["seconds"] == SETTINGS["SIDECAR_DRAIN_SECONDS"].default


@pytest.mark.parametrize("name", SCHEMA)
def test_the_schema_has_the_limits_of_the_sidecar(name: str) -> None:
    """A value that the chart takes is none that the sidecar refuses."""
    option, schema = option_of(name), SCHEMA[name]
    if schema["type"] == "integer":
        allowed = f"{schema['minimum']} to {schema['maximum']}"
    elif "enum" in schema:
        *others, last = schema["enum"]
        allowed = f"{', '.join(others)} or {last}"
    else:  # a duration, a list or a URL, whose form alone is in the schema
        return
    assert isinstance(option.parse, Ranged)
    assert option.parse.allowed == allowed
