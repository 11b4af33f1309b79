"""A policy read in this process, in one that was forked, and in one of its own: all the same."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from sidecar.policy import reading
from sidecar.policy.compiled import Policy
from sidecar.policy.file import read_policy_file
from sidecar.policy.load import load_policy
from sidecar.policy.problems import PolicyError, UnreadError
from sidecar.policy.reading import read_apart, read_here
from sidecar.policy.view import as_dict
from tests.e2e.harness import soon

GOOD = """\
version: 1
product: acme-notes
identity: [{cookie: bb_at}, {cookie: app_session, secret_env: S}, {bearer: true}]
case_sensitive: false
notices: {at: [80, 100]}
routes:
  - name: chat
    match: {path: /chat/*, methods: [POST], headers: {x-mode: deep}}
    meter: {amount: {json: /n, map: {a: 2}, default: 1, max: 9}, accuracy: lease}
  - name: up
    match: {path: /up}
    meter: {resource: storage_bytes, amount: {header: content-length}}
  - {name: health, match: {path: /health}, action: allow}
unmatched: deny
"""
BAD = GOOD.replace("POST", "post").replace("unmatched: deny", "unmatched: perhaps")
SECRET = {"S": "s3cret"}
_PROGRAM = """
import asyncio, os, pickle, sys
from pathlib import Path
from sidecar.policy.problems import PolicyError, UnreadError
from sidecar.policy.reading import FirstReading
first = FirstReading(Path(sys.argv[1]), os.environ)
try:
    found = asyncio.run(first.policy())
except PolicyError as error:
    found = error.problems
left = [name for name in ("pydantic", "yaml") if name in sys.modules]
sys.stdout.buffer.write(pickle.dumps((found, left)))
"""


def read_first(path: Path, environ: Mapping[str, str], program: str = _PROGRAM) -> Policy:
    """Read as a sidecar does when it starts, in a program with one thread."""
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", program, str(path)],
        capture_output=True, timeout=60, check=True, env={**os.environ, **environ},
    )  # fmt: skip
    found, left = pickle.loads(ran.stdout)  # noqa: S301 - from our own program
    assert (left, ran.stderr) == ([], b"")
    if isinstance(found, Policy):
        return found
    raise PolicyError(found)


async def read(how: str, path: Path, environ: Mapping[str, str]) -> Policy:
    """Read a file in one of the three ways."""
    data = await asyncio.to_thread(read_policy_file, path) if how != "first" else b""
    match how:
        case "first":
            return await asyncio.to_thread(read_first, path, environ)
        case "apart":
            return await read_apart(str(path), {**os.environ, **environ})(data)
        case _:
            return await read_here(str(path), environ)(data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A policy file that uses what a policy has."""
    path = tmp_path / "policy.yaml"
    path.write_text(GOOD)
    return path


def put(file: Path, content: str) -> None:
    """Write in place."""
    file.write_text(content)


@pytest.mark.parametrize("how", ["here", "first", "apart"])
async def test_each_way_finds_the_same_policy(how: str, file: Path) -> None:
    """With its secrets, and finding the same routes."""
    found = await read(how, file, SECRET)
    loaded = load_policy(GOOD.encode(), file=str(file), environ=SECRET)
    assert as_dict(found) == as_dict(loaded)
    assert (found.identity, found.notices) == (loaded.identity, loaded.notices)
    for call in (("POST", "/CHAT/1"), ("POST", "/up"), ("GET", "/health"), ("GET", "/other")):
        for headers in ((), ((b"x-mode", b"deep"),)):
            assert found.route_for(*call, headers) == loaded.route_for(*call, headers)


@pytest.mark.parametrize("how", ["here", "first", "apart"])
async def test_each_way_finds_every_problem(how: str, file: Path) -> None:
    """In the same words, with file and position."""
    put(file, BAD)
    with pytest.raises(PolicyError) as expected:
        load_policy(BAD.encode(), file=str(file), environ=SECRET)
    with pytest.raises(PolicyError) as found:
        await read(how, file, SECRET)
    assert found.value.problems == expected.value.problems
    assert len(found.value.problems) == 2


@pytest.mark.parametrize("how", ["here", "first", "apart"])
async def test_a_secret_that_is_missing_is_a_problem(how: str, file: Path) -> None:
    """It is looked for in the environment that was given."""
    with pytest.raises(PolicyError, match="environment variable S"):
        await read(how, file, {})


async def test_a_first_reading_tells_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    """As any other problem."""
    with pytest.raises(PolicyError, match=r"absent.yaml:1:1: cannot be read"):
        await read("first", tmp_path / "absent.yaml", {})


async def test_another_package_in_the_working_directory_is_not_taken_for_ours(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads is the code that serves, wherever that was started."""
    (tmp_path / "sidecar").mkdir()
    (tmp_path / "sidecar" / "__init__.py").write_text("raise SystemExit(7)")
    monkeypatch.chdir(tmp_path)
    assert (await read("apart", file, SECRET)).product == "acme-notes"


MISHAPS = {
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "was killed; give .* more memory",
    "import os, signal; os.kill(os.getpid(), signal.SIGALRM)": "longer than 30 s; give .* more CPU",
    "raise SystemExit(3)": "failed with status 3; the log says why",
    "print('other code of the process was here')": "gave no answer",
    r"import sys; sys.stdout.write('\0policy\0no pickle')": "is another release .* restart",
}


@pytest.mark.parametrize("mishap", MISHAPS)
async def test_a_process_that_comes_to_grief_is_a_problem_of_the_file(
    mishap: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the last good policy rules, and the log says what to do."""
    monkeypatch.setattr(reading, "own_python", lambda _: (sys.executable, "-c", mishap))
    with pytest.raises(
        PolicyError, match=rf"policy.yaml:1:1: could not be read: .*{MISHAPS[mishap]}"
    ):
        await read("apart", file, SECRET)


async def test_what_a_failed_process_said_is_logged(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one event, that is redacted like all others; raw it would break a log of JSON lines."""
    monkeypatch.setattr(reading, "own_python", lambda _: (sys.executable, "-c", "1 / 0"))
    with pytest.raises(UnreadError):
        await read("apart", file, SECRET)
    [told] = [record for record in caplog.records if record.message == "policy_unread"]
    assert "ZeroDivisionError" in vars(told)["said"]
    assert vars(told)["status"] == 1


async def test_other_code_in_the_process_may_write_to_stdout(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As instrumentation does that is injected by `sitecustomize`."""
    (tmp_path / "sitecustomize.py").write_text("print('instrumented')")
    monkeypatch.syspath_prepend(tmp_path)
    assert (await read("apart", file, SECRET)).product == "acme-notes"


async def test_a_process_that_cannot_be_started_is_a_problem_of_the_file(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the reason of the system."""
    monkeypatch.setattr(reading, "own_python", lambda _: ("/nowhere/python",))
    with pytest.raises(PolicyError, match="no process can be started for it: No such file"):
        await read("apart", file, SECRET)


ENDLESS = "import time; time.sleep(600)"


def test_a_first_reading_that_nobody_waits_for_ends(tmp_path: Path) -> None:
    """A parent that has gone leaves nothing behind, however long the answer is."""
    route = "  - {name: r%d, match: {path: /r%d}, action: allow}\n"
    file = tmp_path / "policy.yaml"
    routes = "".join(route % (number, number) for number in range(1500))
    file.write_text(f"version: 1\nproduct: a\nroutes:\n{routes}")
    program = (
        "import os, sys; from pathlib import Path;"
        "from sidecar.policy.reading import FirstReading;"
        "print(FirstReading(Path(sys.argv[1]), os.environ)._child)"
    )
    began = time.monotonic()
    ran = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", program, str(file)], capture_output=True, timeout=60, check=True
    )
    # The child holds the parent's stdout: that it is at its end says that the child has ended.
    assert time.monotonic() - began < reading.PATIENCE
    assert ran.stderr == b""


async def test_a_first_reading_that_is_given_up_leaves_no_process(file: Path) -> None:
    """As when the sidecar is told to end before it serves."""
    program = """
import asyncio, os, sys, time
from pathlib import Path
from sidecar.policy import reading
reading._found = lambda *_: time.sleep(600)
async def main():
    first = reading.FirstReading(Path(sys.argv[1]), os.environ)
    try:
        await asyncio.wait_for(first.policy(), 0.2)
    except TimeoutError:
        print(Path("/proc", str(first._child)).exists())
asyncio.run(main())
"""
    ran = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", program, str(file)],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == (b"False\n", b"")


def children() -> set[str]:
    """Return the processes that this one has started, those that ended unseen included."""
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


async def test_a_reading_has_a_deadline_and_leaves_no_process(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that neither ends nor hears its alarm is ended."""
    before = children()
    monkeypatch.setattr(reading, "own_python", lambda _: (sys.executable, "-c", ENDLESS))
    monkeypatch.setattr(reading, "PATIENCE", -0.9)
    with pytest.raises(PolicyError, match="took longer"):
        await read("apart", file, SECRET)
    await soon(lambda: children() - before, lambda left: not left)  # the loop reaps it


def test_a_first_reading_needs_no_status_of_its_process(file: Path) -> None:
    """Where SIGCHLD is ignored, as some who start programs have it, nobody is told any."""
    program = f"import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n{_PROGRAM}"
    assert read_first(file, SECRET, program).product == "acme-notes"


async def test_a_terminal_does_not_interrupt_a_reading(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends the sidecar, which ends the reading: no traceback of another process."""
    before = children()
    monkeypatch.setattr(reading, "own_python", lambda _: (sys.executable, "-c", ENDLESS))
    task = asyncio.create_task(read("apart", file, SECRET))
    [child] = await soon(lambda: children() - before, bool)
    session = os.getsid(int(child))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session == int(child) != os.getsid(0)


async def test_a_reading_that_is_given_up_leaves_no_process(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of a sidecar."""
    before = children()
    monkeypatch.setattr(reading, "own_python", lambda _: (sys.executable, "-c", ENDLESS))
    task = asyncio.create_task(read("apart", file, SECRET))
    await soon(lambda: children() - before, bool)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await soon(lambda: children() - before, lambda left: not left)  # the loop reaps it
