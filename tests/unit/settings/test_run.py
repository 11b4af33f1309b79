from __future__ import annotations

import argparse
from ipaddress import ip_network
from pathlib import Path

import pytest

from sidecar.settings.fields import SettingsError, options
from sidecar.settings.run import SECTIONS, Settings, add_run_arguments
from sidecar.settings.secret import Secret
from sidecar.settings.sections import (
    AdminSettings,
    Limits,
    ListenSettings,
    LogFormat,
    LogLevel,
    OrgSettings,
    PlatformSettings,
    PolicySettings,
    ProcessSettings,
    StateSettings,
    UpstreamSettings,
)
from sidecar.settings.values import Address, Origin, WebhookUrl

KEY = {"PLATFORM_INTERNAL_KEY": "bbas_dev_acme"}
LEAST = ["--policy", "policy.yaml", "--upstream", "http://127.0.0.1:3000"]


def read(flags: list[str], environ: dict[str, str]) -> Settings:
    """Parse a command line as `run` does."""
    parser = argparse.ArgumentParser()
    add_run_arguments(parser)
    return Settings.from_args(parser.parse_args(flags), environ)


def problems(flags: list[str], environ: dict[str, str]) -> tuple[str, ...]:
    """Return what is wrong with a command line."""
    with pytest.raises(SettingsError) as raised:
        read(flags, environ)
    return raised.value.problems


def test_defaults_are_those_of_the_interface() -> None:
    """The table of interface.md, value by value."""
    settings = read(LEAST, KEY)
    assert settings == Settings(
        policy=PolicySettings(file=Path("policy.yaml"), product=None),
        upstream=UpstreamSettings(origin=Origin("http", "127.0.0.1", 3000)),
        listen=ListenSettings(host="0.0.0.0", port=8080, trusted_proxies=(), upgrades=(), via=None),
        admin=AdminSettings(
            address=Address("127.0.0.1", 9901), socket=None, metrics=None, metrics_orgs=100
        ),
        platform=PlatformSettings(
            api=Origin("https", "api.bizbasics.ai", 443),
            auth=Origin("https", "auth.bizbasics.ai", 443),
            issuer=None,
            key=Secret("bbas_dev_acme"),
        ),
        state=StateSettings(journal=None, redis=None),
        process=ProcessSettings(
            workers=1, drain_seconds=25.0, log_level=LogLevel.INFO, log_format=None
        ),
        limits=Limits(),
        org=OrgSettings(api_key=None, webhook_url=None, webhook_secret=None),
    )
    assert settings.platform.token_issuer == "https://auth.bizbasics.ai"


def test_a_flag_beats_the_environment() -> None:
    """Flag > environment > default."""
    assert read([*LEAST, "--port", "1"], {**KEY, "PORT": "2"}).listen.port == 1


def test_the_environment_beats_the_default() -> None:
    """Flag > environment > default."""
    assert read(LEAST, {**KEY, "PORT": "2"}).listen.port == 2


def test_every_setting_can_come_from_the_environment(tmp_path: Path) -> None:
    """A container has no command line of its own."""
    key_file = tmp_path / "key"
    key_file.write_text("bbas_from_file\n")
    api_key_file = tmp_path / "api-key"
    api_key_file.write_text("bbk_from_file\n")
    environ = {
        "SIDECAR_POLICY": "p.yaml",
        "SIDECAR_UPSTREAM": "https://product.internal",
        "SIDECAR_HOST": "::1",
        "PORT": "81",
        "SIDECAR_ADMIN": "[::1]:82",
        "SIDECAR_ADMIN_SOCKET": "/run/s",
        "SIDECAR_METRICS": "[::1]:85",
        "PLATFORM_API_URL": "http://localhost:83/",
        "AUTH_SERVICE_URL": "http://localhost:84",
        "SIDECAR_ISSUER": "https://issuer",
        "SIDECAR_KEY_FILE": str(key_file),
        "PRODUCT_SLUG": "acme-notes",
        "SIDECAR_JOURNAL": "/var/lib/j",
        "REDIS_URL": "redis://:pw@cache:6379/0",
        "SIDECAR_WORKERS": "2",
        "SIDECAR_LOG_LEVEL": "DEBUG",
        "SIDECAR_LOG_FORMAT": "text",
        "SIDECAR_DRAIN_SECONDS": "1500ms",
        "SIDECAR_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
        "SIDECAR_UPGRADES": "mqtt",
        "SIDECAR_VIA": "edge",
        "SIDECAR_MAX_CONNECTIONS": "10",
        "SIDECAR_MAX_INFLIGHT": "9",
        "SIDECAR_MAX_HEAD_BYTES": "2048",
        "SIDECAR_MAX_FIELDS": "11",
        "SIDECAR_HEAD_TIMEOUT": "1s",
        "SIDECAR_IDLE_TIMEOUT": "2m",
        "SIDECAR_CONNECT_TIMEOUT": "500ms",
        "SIDECAR_FIRST_BYTE_TIMEOUT": "1h",
        "SIDECAR_BODY_IDLE_TIMEOUT": "none",
        "SIDECAR_ANSWER_IDLE_TIMEOUT": "4m",
        "SIDECAR_REQUEST_TIMEOUT": "30s",
        "SIDECAR_UPSTREAM_CONNECTIONS": "7",
        "SIDECAR_BODY_MEMORY": "100000000",
        "SIDECAR_METRICS_ORGS": "0",
        "SIDECAR_API_KEY_FILE": str(api_key_file),
        "SIDECAR_WEBHOOK_URL": "https://notes.example/api/_sidecar/events",
        "SIDECAR_WEBHOOK_SECRET_FILE": str(key_file),
    }
    assert set(environ) == {option.env for option in options(*SECTIONS.values())}
    assert read([], environ) == Settings(
        policy=PolicySettings(file=Path("p.yaml"), product="acme-notes"),
        upstream=UpstreamSettings(origin=Origin("https", "product.internal", 443)),
        listen=ListenSettings(
            host="::1",
            port=81,
            trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
            upgrades=("mqtt",),
            via="edge",
        ),
        admin=AdminSettings(
            address=Address("::1", 82),
            socket=Path("/run/s"),
            metrics=Address("::1", 85),
            metrics_orgs=0,
        ),
        platform=PlatformSettings(
            api=Origin("http", "localhost", 83),
            auth=Origin("http", "localhost", 84),
            issuer="https://issuer",
            key=key_file,
        ),
        state=StateSettings(journal=Path("/var/lib/j"), redis=Secret("redis://:pw@cache:6379/0")),
        process=ProcessSettings(
            workers=2, drain_seconds=1.5, log_level=LogLevel.DEBUG, log_format=LogFormat.TEXT
        ),
        limits=Limits(
            max_connections=10,
            max_inflight=9,
            max_head_bytes=2048,
            max_fields=11,
            head_timeout=1.0,
            idle_timeout=120.0,
            connect_timeout=0.5,
            first_byte_timeout=3600.0,
            body_idle_timeout=None,
            answer_idle_timeout=240.0,
            request_timeout=30.0,
            upstream_connections=7,
            body_memory=100_000_000,
        ),
        org=OrgSettings(
            api_key=api_key_file,
            webhook_url=WebhookUrl(
                "https://notes.example/api/_sidecar/events", "/api/_sidecar/events"
            ),
            webhook_secret=key_file,
        ),
    )


def test_an_empty_variable_counts_as_unset() -> None:
    """Charts write `value: ""` for what is not given."""
    assert read(LEAST, {**KEY, "PORT": "", "REDIS_URL": ""}).listen.port == 8080


def test_an_empty_flag_is_a_problem() -> None:
    """`--port "$UNSET"` is a mistake, and no wish for the default."""
    assert problems([*LEAST, "--port", ""], KEY)[0].startswith("--port: ''")


def test_all_problems_come_at_once() -> None:
    """Each names the flag or variable, the value and the fix, one line each."""
    found = problems(
        ["--upstream", "ftp://x", "--port", "99999"],
        {"SIDECAR_LOG_LEVEL": "loud", "SIDECAR_WORKERS": "0"},
    )
    assert [line.partition(" ")[0] for line in found] == [
        "--policy", "--upstream:", "--port:", "--key-file,", "SIDECAR_WORKERS:",
        "SIDECAR_LOG_LEVEL:",
    ]  # fmt: skip
    assert all("\n" not in line for line in found)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--platform-url", "https://user:hunter2@api"),
        ("--platform-url", "ht tp://user:hunter2@api"),
        ("--redis", "rdis://:hunter2@cache"),
    ],
)
def test_a_password_in_a_url_is_not_repeated(flag: str, value: str) -> None:
    """What a problem says ends in a log."""
    assert "hunter2" not in "\n".join(problems([*LEAST, flag, value], KEY))


def test_no_secret_shows_in_the_settings_repr() -> None:
    """Settings may be logged whole."""
    shown = repr(read([*LEAST, "--redis", "redis://:hunter2@cache"], KEY))
    assert "bbas_" not in shown
    assert "hunter2" not in shown


def test_a_key_file_beats_the_key_variable(tmp_path: Path) -> None:
    """A mounted file is the better place; the variable is what every product has."""
    path = tmp_path / "key"
    path.write_text("bbas_x")
    assert read([*LEAST, "--key-file", str(path)], KEY).platform.key == path


WEBHOOK = ["--webhook-url", "https://notes.example/api/_sidecar/events"]


def test_a_webhook_without_a_secret_registers_itself() -> None:
    """So there is nothing to be given."""
    assert read([*LEAST, *WEBHOOK], KEY).org.webhook_secret is None


def test_a_webhooks_secret_can_come_from_the_environment() -> None:
    """Never from a flag's value."""
    assert read(
        [*LEAST, *WEBHOOK], {**KEY, "SIDECAR_WEBHOOK_SECRET": "whsec_1"}
    ).org.webhook_secret == Secret("whsec_1")


def test_a_webhooks_secret_without_its_url_is_a_problem(tmp_path: Path) -> None:
    """No event would ever be received, and nothing would say so."""
    path = tmp_path / "secret"
    path.write_text("whsec_1")
    (problem,) = problems([*LEAST, "--webhook-secret-file", str(path)], KEY)
    assert problem.startswith("--webhook-secret-file: is of no use without --webhook-url")


def test_workers_need_the_secret_of_a_webhook() -> None:
    """Each would register the URL anew, and only the last one's secret would be good."""
    (problem,) = problems([*LEAST, *WEBHOOK, "--workers", "2"], KEY)
    assert problem.startswith("--webhook-url: 2 workers need one secret")


def test_a_webhooks_bad_secret_is_the_one_problem(tmp_path: Path) -> None:
    """That there is none is no problem beside it."""
    flags = [*LEAST, *WEBHOOK, "--workers", "2", "--webhook-secret-file", str(tmp_path / "no")]
    (problem,) = problems(flags, KEY)
    assert problem.startswith("--webhook-secret-file: ")


def test_an_orgs_key_can_come_from_the_environment() -> None:
    """It is told from the product's own by its variable."""
    environ = {**KEY, "BIZBASICS_API_KEY": "bbk_1"}
    assert read(LEAST, environ).org.api_key == Secret("bbk_1")


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "9901"],
        ["--host", "127.0.0.1", "--port", "9901"],
        ["--host", "10.0.0.1", "--admin", "0.0.0.0:8080"],
    ],
)
def test_the_admin_needs_a_port_of_its_own(flags: list[str]) -> None:
    """Found here rather than as a failed bind."""
    assert "give it another one" in problems([*LEAST, *flags], KEY)[0]


def test_the_upstream_must_not_be_the_sidecar_itself() -> None:
    """It would call itself without end."""
    assert "own --port 3000" in problems([*LEAST, "--port", "3000"], KEY)[0]


def test_port_0_takes_free_ports_for_both() -> None:
    """As tests and the demo do."""
    flags = [*LEAST, "--port", "0", "--admin", "127.0.0.1:0"]
    assert read(flags, KEY).admin.address == Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--metrics", "127.0.0.1:8080"], "--port"),
        (["--metrics", "127.0.0.1:9901"], "--admin"),
        (["--metrics", "0.0.0.0:9901"], "--admin"),
    ],
)
def test_the_metrics_need_a_port_of_their_own(flags: list[str], named: str) -> None:
    """Found here, with the name of the setting that has it already."""
    [problem] = problems([*LEAST, *flags], KEY)
    assert problem.startswith("--metrics: ")
    assert f"is the port of {named}" in problem
