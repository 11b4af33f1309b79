"""The settings of `authz`: those of `run` that make sense without an upstream."""

from __future__ import annotations

import argparse

import pytest

from sidecar.settings.authz import add_authz_arguments, authz_settings
from sidecar.settings.fields import SettingsError
from sidecar.settings.run import Settings

ENVIRON = {"PLATFORM_INTERNAL_KEY": "bbas_x0123456789", "SIDECAR_POLICY": "/policy.yaml"}


def read(*words: str) -> Settings:
    """Read a command line."""
    parser = argparse.ArgumentParser()
    add_authz_arguments(parser)
    return authz_settings(parser.parse_args(words), ENVIRON)


def test_an_address_is_where_it_listens() -> None:
    """Loopback alone, where none is given; nothing is forwarded."""
    assert str(read().listen.address) == "127.0.0.1:8093"
    given = read("--http", "0.0.0.0:9000")
    assert (str(given.listen.address), given.upstream) == ("0.0.0.0:9000", None)


def test_this_machine_is_believed_beside_what_is_given() -> None:
    """A proxy on the same machine sets the request ID."""
    found = [str(each) for each in read("--trusted-proxies", "10.0.0.0/8").listen.trusted_proxies]
    assert found == ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]


def test_every_problem_is_in_one_report() -> None:
    """As for `run`."""
    with pytest.raises(SettingsError) as error:
        read("--http", "nowhere", "--drain-seconds", "-1")
    assert len(error.value.problems) == 2
