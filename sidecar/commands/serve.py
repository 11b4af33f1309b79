"""`bb-sidecar run`: one process, or a supervisor of several."""

from __future__ import annotations

import argparse
import gc
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping

from sidecar.app.open_files import raise_limit
from sidecar.domain.errors import UserError
from sidecar.policy.problems import PolicyError
from sidecar.settings.fields import Given, SettingsError
from sidecar.settings.run import Settings
from sidecar.settings.sections import PolicySettings


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit status. Raises UserError with every problem."""
    gc.disable()  # until it serves: nothing is garbage yet, and a pass is a tenth of the start
    raise_limit()
    try:
        settings = Settings.from_args(args, environ)
    except SettingsError as error:
        raise _together(error, _policy_problems(args, environ)) from error
    try:
        return _serve(settings, environ)
    except UserError as error:
        raise _together(error, _listening_problems(settings)) from error


def _serve(settings: Settings, environ: Mapping[str, str]) -> int:
    # Until the event loop has its own: process 1 of a container has no default action.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the policy is about to be read anyway
    if settings.process.workers > 1:
        from sidecar.workers.supervisor import run_workers  # noqa: PLC0415

        gc.enable()
        return run_workers(settings, environ)
    from sidecar.app.process import run as run_alone  # noqa: PLC0415

    return run_alone(settings, environ)


def _together(error: UserError, others: Iterable[str]) -> UserError:
    """Return one report, each line once; a policy's problems are all in it."""
    found = error.problems if isinstance(error, PolicyError) else str(error).splitlines()
    return UserError("\n".join(dict.fromkeys((*map(str, found), *others))))


def _policy_problems(args: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[str]:
    """Find what is wrong with the policy's file, where it is named."""
    from sidecar.policy.file import read_policy_file  # noqa: PLC0415 - nothing starts any more
    from sidecar.policy.load import load_policy  # noqa: PLC0415

    policy = Given(args, environ).section(PolicySettings)
    if policy is not None:
        try:
            load_policy(read_policy_file(policy.file), file=str(policy.file), environ=environ)
        except PolicyError as error:
            yield from map(str, error.problems)


def _listening_problems(settings: Settings) -> Iterator[str]:
    """Find which addresses cannot be listened on; called when nothing of ours does."""
    from sidecar.http1.listening import bound, refusal  # noqa: PLC0415 - nothing starts any more

    admin = settings.admin
    for host_flag, port_flag, address in (
        ("--host", "--port", settings.listen.address),
        ("--admin", "--admin", admin.address),
        ("--metrics", "--metrics", admin.metrics),
    ):
        if address is not None:
            host, port = address.host, address.port
            try:
                bound(host, port).close()
            except OSError as error:
                yield str(refusal(error, host, port, host_flag=host_flag, port_flag=port_flag))
