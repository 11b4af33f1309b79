"""What is allowed and likely a mistake: one line each."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.app.startup_warnings import log_startup_warnings, warnings_about
from sidecar.settings.run import Settings
from sidecar.settings.secret import Secret
from sidecar.settings.sections import (
    AdminSettings,
    ListenSettings,
    PlatformSettings,
    PolicySettings,
    UpstreamSettings,
)
from sidecar.settings.values import Origin, parse_networks, parse_origin

API, AUTH = parse_origin("https://api.bizbasics.ai"), parse_origin("https://auth.bizbasics.ai")
LOCAL = parse_origin("http://127.0.0.1:8092")
CLEAR = parse_origin("http://platform.internal")


def settings(**listen: Any) -> Settings:
    """Return settings without a mistake, but for those of listening."""
    return Settings(
        policy=PolicySettings(file=Path("policy.yaml")),
        upstream=UpstreamSettings(origin=LOCAL),
        listen=ListenSettings(**listen),
        admin=AdminSettings(),
        platform=PlatformSettings(key=Secret("bbas_x")),
    )


@pytest.fixture(autouse=True)
def _no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with an environment that names no proxy."""
    for name in (
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("platform", "auth", "flags"),
    [
        (API, AUTH, []),
        (LOCAL, LOCAL, []),
        (parse_origin("http://localhost:1"), parse_origin("http://[::1]:1"), []),
        (CLEAR, AUTH, ["--platform-url"]),
        (API, CLEAR, ["--auth-url"]),
        (CLEAR, CLEAR, ["--platform-url", "--auth-url"]),
    ],
)
def test_a_key_in_clear_text(platform: Origin, auth: Origin, flags: list[str]) -> None:
    """An http URL is for this machine alone."""
    found = list(warnings_about(platform, auth))
    assert [each.hint.rpartition(" ")[2] for each in found] == flags
    assert {each.about for each in found} <= {"http://platform.internal is not encrypted"}


def test_a_proxy_that_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, though both hosts would be called through it."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:secret@proxy.test:1080")
    with caplog.at_level(logging.WARNING, "sidecar"):
        log_startup_warnings(settings(), {}, b"")
    (record,) = caplog.records
    assert record.getMessage() == "setting_doubtful"
    assert record.__dict__["about"].startswith("HTTPS_PROXY is set and not used: socks5")
    assert "http://proxy:3128" in record.__dict__["hint"]
    assert "secret" not in str(record.__dict__)


def test_trusted_ids_that_no_other_replica_knows_of(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is given back under their keys."""
    with caplog.at_level(logging.WARNING, "sidecar"):
        log_startup_warnings(settings(trusted_proxies=parse_networks("10.0.0.0/8")), {}, b"")
    (record,) = caplog.records
    assert record.__dict__["about"] == "--trusted-proxies without --redis"


def test_a_door_is_not_warned_of_the_machine_that_it_believes_in_any_case(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`authz` adds it itself; of others it is."""
    loopback = settings(trusted_proxies=parse_networks("127.0.0.0/8,::1"))
    others = settings(trusted_proxies=parse_networks("127.0.0.0/8,10.0.0.0/8"))
    with caplog.at_level(logging.WARNING, "sidecar"):
        log_startup_warnings(replace(loopback, upstream=None), {}, b"")
        assert caplog.records == []
        log_startup_warnings(replace(others, upstream=None), {}, b"")
        log_startup_warnings(loopback, {}, b"")
    assert len(caplog.records) == 2


def test_a_misspelt_variable(caplog: pytest.LogCaptureFixture) -> None:
    """With the nearest one that is a setting."""
    with caplog.at_level(logging.WARNING, "sidecar"):
        log_startup_warnings(settings(), {"SIDECAR_POLCY": "x", "PATH": "/bin"}, b"")
    (record,) = caplog.records
    assert record.getMessage() == "setting_doubtful"
    assert "SIDECAR_POLCY" in record.__dict__["about"]
    assert record.__dict__["hint"] == "did you mean SIDECAR_POLICY?"
