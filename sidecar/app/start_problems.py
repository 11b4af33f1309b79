"""All that keeps a sidecar from starting, found part by part: looked for once a start has failed.

Nothing here changes a file, and nothing connects.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from sidecar.admission.journal_file import JournalFile, open_journal
from sidecar.domain.errors import UserError
from sidecar.http1.listening import bound, refusal
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import load_policy
from sidecar.policy.problems import PolicyError
from sidecar.settings.fields import Given
from sidecar.settings.misspelt import misspelt_variables
from sidecar.settings.secret import Secret
from sidecar.settings.sections import (
    AdminSettings,
    ListenSettings,
    PolicySettings,
    StateSettings,
)


def start_problems(args: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[str]:
    """Find what is wrong with each part whose settings can be read, whatever is with the others."""
    given = Given(args, environ)
    policy = given.section(PolicySettings)
    content = b""
    if policy is not None:
        try:
            content = read_policy_file(policy.file)
            load_policy(content, file=str(policy.file), environ=environ)
        except PolicyError as error:
            yield from map(str, error.problems)
    for name, nearest in misspelt_variables(environ, content):
        if nearest:
            yield f"{name}: is no setting, and is ignored: did you mean {nearest}?"
    yield from _of_addresses(given)
    state = given.section(StateSettings)
    if state is not None and state.journal is not None:
        yield from _of_journal(state.journal)
    if state is not None and state.redis is not None:
        yield from _of_redis(state.redis)


def _of_addresses(given: Given) -> Iterator[str]:
    """Find which addresses cannot be listened on; nothing of ours listens any more."""
    listen, admin = given.section(ListenSettings), given.section(AdminSettings)
    if listen is None or admin is None:  # none of their settings is required
        raise AssertionError("a setting without a default")
    for host_flag, port_flag, address in (
        ("--host", "--port", listen.address),
        ("--admin", "--admin", admin.address),
        ("--metrics", "--metrics", admin.metrics),
    ):
        if address is None or not given.wrong.isdisjoint((host_flag, port_flag)):
            continue
        host, port = address.host, address.port
        try:
            bound(host, port).close()
        except OSError as error:
            yield str(refusal(error, host, port, host_flag=host_flag, port_flag=port_flag))


def _of_journal(path: Path) -> Iterator[str]:
    """Find why a journal cannot be used: a good one is only read, and a new one is not made."""
    if path.exists():
        try:
            os.close(open_journal(path, create=False).fd)
        except (UserError, OSError):
            pass
        else:
            return
    elif os.access(path.parent, os.W_OK | os.X_OK):
        return
    try:
        JournalFile(path).close()
    except UserError as error:
        yield str(error)


def _of_redis(url: Secret) -> Iterator[str]:
    try:
        from sidecar.storage.redis_attempts import RedisAttempts  # noqa: PLC0415 - an extra
    except ModuleNotFoundError:  # a start says it by itself
        return
    try:
        RedisAttempts.at(url.reveal())
    except UserError as error:
        yield str(error)
