"""The settings of a middleware: keywords, then variables, then defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.settings.embedded import EmbeddedSettings
from sidecar.settings.fields import SettingsError

ENVIRON = {"PLATFORM_INTERNAL_KEY": "bbas_x0123456789", "SIDECAR_POLICY": "/from/variable.yaml"}


def test_what_is_not_given_comes_from_its_variable() -> None:
    """As for `run`."""
    settings = EmbeddedSettings.from_keywords({}, ENVIRON)
    assert settings.policy.file == Path("/from/variable.yaml")
    assert settings.hosted.metrics_orgs == 100


def test_a_keyword_comes_before_its_variable() -> None:
    """It may be a path, a number or a text; None leaves it out."""
    given = {"policy": Path("/here.yaml"), "metrics_orgs": 7, "drain_seconds": "2s", "redis": None}
    settings = EmbeddedSettings.from_keywords(given, ENVIRON)
    assert settings.policy.file == Path("/here.yaml")
    assert (settings.hosted.metrics_orgs, settings.hosted.drain_seconds) == (7, 2.0)
    assert settings.state.redis is None


@pytest.mark.parametrize("name", ["upstream", "admin", "port", "workers", "polcy"])
def test_a_setting_that_it_has_not_is_named(name: str) -> None:
    """With those that it has."""
    with pytest.raises(SettingsError, match=rf"{name}= is no setting .* use one of .*policy"):
        EmbeddedSettings.from_keywords({name: "x"}, ENVIRON)


def test_a_problem_names_the_keyword() -> None:
    """Not a flag, which there is none of; all problems at once."""
    with pytest.raises(SettingsError) as error:
        EmbeddedSettings.from_keywords({"platform_url": "nowhere", "metrics_orgs": -1}, {})
    text = str(error.value)
    assert "platform_url=: 'nowhere'" in text
    assert "metrics_orgs=: '-1'" in text
    assert "policy=, SIDECAR_POLICY" in text or "policy= or SIDECAR_POLICY" in text
    assert "--" not in text
