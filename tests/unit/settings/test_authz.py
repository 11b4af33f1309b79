"""The settings of `authz`: those of `run` that make sense without an upstream."""

from __future__ import annotations

import argparse

import pytest

from sidecar.settings.authz import AuthzSettings, add_authz_arguments, authz_settings
from sidecar.settings.fields import SettingsError

ENVIRON = {"PLATFORM_INTERNAL_KEY": "bbas_x0123456789", "SIDECAR_POLICY": "/policy.yaml"}


def read(*words: str) -> AuthzSettings:
    """Read a command line."""
    parser = argparse.ArgumentParser()
    add_authz_arguments(parser)
    return authz_settings(parser.parse_args(words), ENVIRON)


def test_an_address_is_where_it_listens() -> None:
    """Loopback alone, where none is given; nothing is forwarded."""
    assert str(read().shared.listen.address) == "127.0.0.1:8093"
    given = read("--http", "0.0.0.0:9000").shared
    assert (str(given.listen.address), given.upstream) == ("0.0.0.0:9000", None)


def test_this_machine_is_believed_beside_what_is_given() -> None:
    """A proxy on the same machine sets the request ID."""
    listen = read("--trusted-proxies", "10.0.0.0/8").shared.listen
    found = [str(each) for each in listen.trusted_proxies]
    assert found == ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]


def test_every_problem_is_in_one_report() -> None:
    """As for `run`."""
    with pytest.raises(SettingsError) as error:
        read("--http", "nowhere", "--drain-seconds", "-1")
    assert len(error.value.problems) == 2


def test_grpc_is_there_where_it_is_asked_for() -> None:
    """With the files of its certificate."""
    assert read().listen.grpc is None
    files = ("--grpc-cert", "/c.pem", "--grpc-key", "/k.pem", "--grpc-client-ca", "/ca.pem")
    listen = read("--grpc", "0.0.0.0:8094", *files).listen
    assert str(listen.grpc) == "0.0.0.0:8094"
    assert [str(listen.grpc_cert), str(listen.grpc_key)] == ["/c.pem", "/k.pem"]
    assert str(listen.grpc_client_ca) == "/ca.pem"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--grpc-cert /c.pem", "--grpc-cert: is of no use without --grpc"),
        ("--grpc 127.0.0.1:8093", "--grpc: '127.0.0.1:8093' is the port of --http"),
        ("--grpc 127.0.0.1:8094 --grpc-key /k.pem", "--grpc-cert, --grpc-key: TLS needs both"),
        ("--grpc 127.0.0.1:8094 --grpc-client-ca /a.pem", "--grpc-client-ca: needs TLS"),
    ],
)
def test_what_is_wrong_together_is_a_problem(words: str, problem: str) -> None:
    """Each names the flag and the fix."""
    with pytest.raises(SettingsError) as error:
        read(*words.split())
    assert str(error.value).startswith(problem)
