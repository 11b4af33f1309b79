"""A variable that looks like a setting and is none."""

from __future__ import annotations

import pytest

from sidecar.settings.misspelt import misspelt_variables


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("SIDECAR_POLCY", "SIDECAR_POLICY"),
        ("SIDECAR_TRUSTED_PROXY", "SIDECAR_TRUSTED_PROXIES"),
        ("SIDECAR_PORT", "PORT"),
        ("SIDECAR_REDIS", "REDIS_URL"),
        ("SIDECAR_GRPC_CLIENTS_CA", "SIDECAR_GRPC_CLIENT_CA"),
        ("SIDECAR_P\udcffOLICY", "SIDECAR_POLICY"),
        ("SIDECAR_ZZZ", ""),
    ],
)
def test_the_nearest_setting_is_named(name: str, nearest: str) -> None:
    """Also one whose variable has another name than its flag."""
    assert list(misspelt_variables({name: "8080"})) == [(name, nearest)]


@pytest.mark.parametrize(
    "name",
    ["SIDECAR_POLICY", "SIDECAR_WEBHOOK_SECRET", "SIDECAR_GRPC", "SIDECAR_TOKEN_FILE",
     "BB_SIDECAR_REVISION", "PRODUCT_SLUGS"],
)  # fmt: skip
def test_a_setting_of_any_command_is_none_of_them(name: str) -> None:
    """One environment may serve several commands; other prefixes are not ours."""
    assert list(misspelt_variables({name: "x"})) == []


def test_the_variables_of_a_kubernetes_service_are_none_of_them() -> None:
    """A Service named `sidecar`, or `sidecar-admin`, in the namespace of the pod."""
    address = "tcp://10.0.0.1:8080"
    environ = {
        "SIDECAR_SERVICE_HOST": "10.0.0.1",
        "SIDECAR_SERVICE_PORT": "8080",
        "SIDECAR_SERVICE_PORT_HTTP": "8080",
        "SIDECAR_PORT": address,
        "SIDECAR_PORT_8080_TCP": address,
        "SIDECAR_PORT_8080_TCP_PROTO": "tcp",
        "SIDECAR_PORT_8080_TCP_PORT": "8080",
        "SIDECAR_PORT_8080_TCP_ADDR": "10.0.0.1",
        "SIDECAR_ADMIN_SERVICE_HOST": "10.0.0.1",
        "SIDECAR_ADMIN_PORT": address,
    }
    assert list(misspelt_variables(environ)) == []


def test_a_secret_that_the_policy_names_is_none_of_them() -> None:
    """Its name is the policy's choice."""
    policy = b"identity: [{cookie: session, secret_env: SIDECAR_SESSION_SECRET}]"
    assert list(misspelt_variables({"SIDECAR_SESSION_SECRET": "x"}, policy)) == []
