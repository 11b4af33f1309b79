"""From a policy file's bytes to a `Policy`, without the process that serves knowing how.

What reads a policy (YAML, pydantic, the model of the file) is a sixth of a sidecar's memory and a
quarter of its start, and is needed for a fifth of a second. So a process of its own reads it, tells
what it found, and ends: forked at the start, while the other one imports what serves; later a
program of its own, for a process with threads must not be forked.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError, Problem

Reader = Callable[[bytes], Awaitable[Policy]]
"""Makes a file's bytes a policy. Raises PolicyError with every problem."""

PATIENCE: Final = 30
"""Seconds that a process may take to read a policy; with a tenth of a core it takes three."""


def read_here(file: str, environ: Mapping[str, str]) -> Reader:
    """Read in a thread of this process: for one that has what it takes anyway, as the demo has.

    `file` is its name in messages; `environ` has the secrets that it names.
    """

    async def read(data: bytes) -> Policy:
        from sidecar.policy.load import load_policy  # noqa: PLC0415 - see the module's docstring

        return await asyncio.to_thread(load_policy, data, file=file, environ=environ)

    return read


def read_apart(file: str, environ: Mapping[str, str]) -> Reader:
    """Read in a process of its own, which is there for one reading: 0.2 s and 35 MB."""

    async def read(data: bytes) -> Policy:
        try:
            process = await asyncio.create_subprocess_exec(
                *own_python("sidecar.policy.reading"), file,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env={**environ, "PYTHONPATH": own_path()},
                start_new_session=True,  # a terminal's Ctrl-C is its parent's to act on
            )  # fmt: skip
        except OSError as error:
            raise _unread(file, f"no process can be started for it: {error.strerror}") from error
        try:
            async with asyncio.timeout(PATIENCE + 1):  # its own alarm comes first
                answer, _ = await process.communicate(data)
        except TimeoutError:
            raise _unread(file, _reason(-signal.SIGALRM)) from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return _policy_of(answer, await process.wait(), file)

    return read


def own_python(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this program in another process.

    Goes with `own_path` as PYTHONPATH: then it is the same code, wherever it is started.
    """
    return (sys.executable, "-P", "-m", module)


def own_path() -> str:
    """Return where this process finds its modules, as PYTHONPATH has it."""
    return os.pathsep.join(sys.path)


class FirstReading:
    """The reading of a policy at the start, in a process forked from this one.

    To be begun early: as long as this process has one thread, and little memory to share.
    """

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """Begin. The answer waits until it is asked for."""
        self._file = str(path)
        self._answer, told = os.pipe()
        try:
            self._child = os.fork()
        except OSError as error:
            raise _unread(
                self._file, f"no process can be started for it: {error.strerror}"
            ) from error
        if self._child == 0:
            _read_and_end(path, environ, told)
        os.close(told)

    def policy(self) -> Policy:
        """Wait for the policy. Raises PolicyError with every problem. To be called once."""
        with open(self._answer, "rb") as pipe:  # noqa: PTH123 - a descriptor, not a path
            answer = pipe.read()
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        except ChildProcessError:  # who started us ignores SIGCHLD: then no child leaves a status
            status = 0 if answer else 1
        return _policy_of(answer, status, self._file)


def main() -> int:
    """Read the policy on stdin, named by the one argument; write what was found to stdout."""
    signal.alarm(PATIENCE)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a parent that has gone
    file = sys.argv[1]
    sys.stdout.buffer.write(_found(sys.stdin.buffer.read(), file, os.environ))
    return 0


def _read_and_end(path: Path, environ: Mapping[str, str], told: int) -> NoReturn:
    """Be the forked process: nothing of its parent's runs or is closed in it."""
    status = 1
    try:
        # Ctrl-C and a parent that has gone end it without a word.
        for number in (signal.SIGINT, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(PATIENCE)
        try:
            answer = _found(read_policy_file(path), str(path), environ)
        except PolicyError as error:
            answer = pickle.dumps(error.problems)
        with open(told, "wb") as pipe:
            pipe.write(answer)
        status = 0
    except Exception:  # noqa: BLE001 - nobody is above it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _found(data: bytes, file: str, environ: Mapping[str, str]) -> bytes:
    from sidecar.policy.load import load_policy  # noqa: PLC0415 - see the module's docstring

    try:
        return pickle.dumps(load_policy(data, file=file, environ=environ))
    except PolicyError as error:
        return pickle.dumps(error.problems)


def _policy_of(answer: bytes, status: int, file: str) -> Policy:
    """Take what the other process found; `status` is how it ended, minus the signal if by one."""
    if status:
        raise _unread(file, _reason(status))
    found: Policy | tuple[Problem, ...] = pickle.loads(answer)  # noqa: S301 - our own process
    if isinstance(found, Policy):
        return found
    raise PolicyError(found)


def _unread(file: str, why: str) -> PolicyError:
    return PolicyError([Problem(file, 1, 1, f"could not be read: {why}")])


def _reason(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"it took longer than {PATIENCE} s; give the sidecar more CPU"
    if status == -signal.SIGKILL:
        return "what read it was killed; give the sidecar more memory"
    return f"what read it failed with status {status}; its log says why"


if __name__ == "__main__":
    raise SystemExit(main())
