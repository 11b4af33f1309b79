"""`bb-sidecar run`: one process, or a supervisor of several."""

from __future__ import annotations

import argparse
import gc
from collections.abc import Iterable, Mapping

from sidecar.app.early_signals import end_on_sigterm
from sidecar.app.open_files import raise_limit
from sidecar.domain.errors import UserError
from sidecar.policy.problems import PolicyError
from sidecar.settings.run import Settings


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Run until SIGTERM or SIGINT; return the exit status. Raises UserError with every problem."""
    gc.disable()  # until it serves: nothing is garbage yet, and a pass is a tenth of the start
    raise_limit()
    try:
        return _serve(Settings.from_args(args, environ), environ)
    except UserError as error:
        from sidecar.app.start_problems import start_problems  # noqa: PLC0415

        raise _together(error, start_problems(args, environ)) from error
    finally:
        gc.enable()


def _serve(settings: Settings, environ: Mapping[str, str]) -> int:
    end_on_sigterm()
    if settings.process.workers > 1:
        from sidecar.workers.supervisor import run_workers  # noqa: PLC0415

        return run_workers(settings, environ)
    from sidecar.app.process import run as run_alone  # noqa: PLC0415

    return run_alone(settings, environ)


def _together(error: UserError, others: Iterable[str]) -> UserError:
    """Return one report, each line once; a policy's problems are all in it."""
    found = error.problems if isinstance(error, PolicyError) else str(error).splitlines()
    return UserError("\n".join(dict.fromkeys((*map(str, found), *others))))
