"""From a policy file's bytes to a `Policy`, without the process that serves knowing how.

What reads a policy (YAML, pydantic, the model of the file) is a sixth of a sidecar's memory and a
quarter of its start, and is needed for a fifth of a second. So a process of its own reads it, tells
what it found, and ends: forked at the start, while the other one imports what serves; later a
program of its own, for a process with threads must not be forked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, NoReturn

from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.problems import PolicyError, Problem, UnreadError
from sidecar.processes import end_process, start_process

Reader = Callable[[bytes], Awaitable[Policy]]
"""Makes a file's bytes a policy. Raises PolicyError with every problem."""

_LOG: Final = logging.getLogger("sidecar.policy")
_MARK: Final = b"\0policy\0"
"""What an answer begins with: other code in the process may have written to its stdout before."""
_SAID: Final = 2000
"""How much is logged of what a process said that failed; bytes, its end."""

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
    """Read in a process of its own, which is there for one reading: 0.2 s and 35 MB.

    Raises UnreadError, a PolicyError, where that process came to grief.
    """

    async def read(data: bytes) -> Policy:
        try:
            process = await start_process(
                *own_python("sidecar.policy.reading"), file,
                env={**environ, "PYTHONPATH": own_path()},
                piped=True,
            )  # fmt: skip
        except OSError as error:
            raise _unread(file, f"no process can be started for it: {error.strerror}") from error
        try:
            async with asyncio.timeout(PATIENCE + 1):  # its own alarm comes first
                answer, said = await process.communicate(data)
        except TimeoutError:
            raise _unread(file, _reason(-signal.SIGALRM)) from None
        finally:
            if process.returncode is None:
                await end_process(process)
        status = await process.wait()
        if status:
            told = said[-_SAID:].decode(errors="backslashreplace")
            _LOG.error("policy_unread", extra={"policy_file": file, "status": status, "said": told})
        # In a thread: a policy of a thousand routes takes a while to be put together.
        return await asyncio.to_thread(_policy_of, answer, status, file)

    return read


def own_python(module: str) -> tuple[str, ...]:
    """Return the command that runs a module of this program in another process.

    Goes with `own_path` as PYTHONPATH: then it is the same code, wherever it is started.
    """
    return (sys.executable or "python3", "-P", "-m", module)


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
            why = f"no process can be started for it: {error.strerror}"
            raise _unread(self._file, why) from error
        if self._child == 0:
            os.close(self._answer)
            _read_and_end(path, environ, told)
        os.close(told)

    async def policy(self) -> Policy:
        """Wait for the policy. Raises PolicyError with every problem. To be called once."""
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._answer, "rb")
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        answer: bytes | None = None
        try:
            async with asyncio.timeout(PATIENCE + 1):  # its own alarm comes first
                answer = await reader.read()
        except TimeoutError:
            raise _unread(self._file, _reason(-signal.SIGALRM)) from None
        finally:
            transport.close()
            if answer is None:
                self.give_up()
        return _policy_of(answer, self._status(), self._file)

    def give_up(self) -> None:
        """End a reading that nobody waits for; one that has ended is left alone."""
        if self._child:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._status()

    def _status(self) -> int:
        """Return how the process ended, which is about to."""
        child, self._child = self._child, 0
        try:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        except ChildProcessError:  # who started us ignores SIGCHLD: then no child leaves a status
            return 0


def main() -> int:
    """Read the policy on stdin, named by the one argument; write what was found to stdout."""
    _end_in_time()
    file = sys.argv[1]
    sys.stdout.buffer.write(_found(sys.stdin.buffer.read(), file, os.environ))
    return 0


def _read_and_end(path: Path, environ: Mapping[str, str], told: int) -> NoReturn:
    """Be the forked process: nothing of its parent's runs or is closed in it."""
    status = 1
    try:
        os.setsid()  # a terminal's Ctrl-C is its parent's to act on
        _end_in_time()
        try:
            answer = _found(read_policy_file(path), str(path), environ)
        except PolicyError as error:
            answer = _MARK + pickle.dumps(error.problems)
        with os.fdopen(told, "wb") as pipe:
            pipe.write(answer)
        status = 0
    except Exception:  # noqa: BLE001 - nobody is above it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _end_in_time() -> None:
    """End this process when it takes too long, and when nobody waits for its answer any more."""
    for number in (signal.SIGALRM, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # its parent's to act on
    signal.alarm(PATIENCE)


def _found(data: bytes, file: str, environ: Mapping[str, str]) -> bytes:
    from sidecar.policy.load import load_policy  # noqa: PLC0415 - see the module's docstring

    try:
        return _MARK + pickle.dumps(load_policy(data, file=file, environ=environ))
    except PolicyError as error:
        return _MARK + pickle.dumps(error.problems)


def _policy_of(answer: bytes, status: int, file: str) -> Policy:
    """Take what the other process found; `status` is how it ended, minus the signal if by one."""
    if status:
        raise _unread(file, _reason(status))
    _, mark, pickled = answer.partition(_MARK)
    if not mark:
        raise _unread(file, "what read it gave no answer; the log may say why")
    found: Policy | tuple[Problem, ...]
    try:
        found = pickle.loads(pickled)  # noqa: S301 - our own process
    except Exception as error:  # a program that was replaced on disk pickles what it likes
        raise _unread(file, f"what read it is another release ({error!r}); restart") from error
    if isinstance(found, Policy):
        return found
    raise PolicyError(found)


def _unread(file: str, why: str) -> UnreadError:
    return UnreadError([Problem(file, 1, 1, f"could not be read: {why}")])


def _reason(status: int) -> str:
    if status == -signal.SIGALRM:
        return f"it took longer than {PATIENCE} s; give the sidecar more CPU"
    if status == -signal.SIGKILL:
        return "what read it was killed; give the sidecar more memory"
    return f"what read it failed with status {status}; the log says why"


if __name__ == "__main__":
    raise SystemExit(main())
