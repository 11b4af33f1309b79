"""How many bytes of request bodies a process may hold."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sidecar.app.memory_limit import LEAST, PROCESS, body_memory, container_limit
from sidecar.domain.share import ALONE, Share
from sidecar.proxy.body_memory import DEFAULT

MIB = 1024 * 1024


def machine(root: Path, groups: str, limits: dict[str, str]) -> Path:
    """Write what the kernel shows of a process's cgroups."""
    for path, text in {"proc/self/cgroup": groups, **limits}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n", encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("groups", "limits", "found"),
    [
        ("0::/", {"sys/fs/cgroup/memory.max": "268435456"}, 256 * MIB),
        ("0::/", {"sys/fs/cgroup/memory.max": "max"}, None),
        (
            "0::/pod/own",
            {
                "sys/fs/cgroup/pod/own/memory.max": "max",
                "sys/fs/cgroup/pod/memory.max": "134217728",
                "sys/fs/cgroup/memory.max": "268435456",
            },
            128 * MIB,
        ),
        (
            "5:cpu:/x\n4:memory:/kubepods/own\n0::/",
            {"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456"},
            256 * MIB,
        ),
        ("4:memory:/", {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("1:cpu:/", {}, None),
    ],
    ids=["v2", "v2-none", "v2-of-the-pod", "v1-of-the-host", "v1-none", "no-memory"],
)
def test_the_limit_of_the_process_is_found(
    tmp_path: Path, groups: str, limits: dict[str, str], found: int | None
) -> None:
    """The least of its own cgroup and those around it, in either version."""
    assert container_limit(machine(tmp_path, groups, limits)) == found


def test_without_cgroups_there_is_no_limit(tmp_path: Path) -> None:
    """Another system than Linux."""
    assert container_limit(tmp_path) is None
    assert body_memory(None, ALONE, tmp_path) == DEFAULT


@pytest.mark.parametrize(
    ("limit", "workers", "each"),
    [(256, 1, 96), (512, 4, 24), (1024, 4, 88), (4096, 1, 128)],
)
def test_workers_divide_half_of_what_is_left(
    tmp_path: Path, limit: int, workers: int, each: int
) -> None:
    """After 64 MiB for each process, the parent of several workers included."""
    root = machine(tmp_path, "0::/", {"sys/fs/cgroup/memory.max": str(limit * MIB)})
    assert body_memory(None, Share(0, workers), root) == each * MIB
    processes = workers if workers == 1 else workers + 1
    assert PROCESS * processes + each * MIB * workers <= limit * MIB


def test_a_setting_is_divided_by_the_workers(tmp_path: Path) -> None:
    """Whatever the limit is."""
    root = machine(tmp_path, "0::/", {"sys/fs/cgroup/memory.max": str(64 * MIB)})
    assert body_memory(40 * MIB, Share(1, 4), root) == 10 * MIB


def test_too_small_a_limit_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Four workers do not fit into 256 MiB; the log says how much would be enough."""
    root = machine(tmp_path, "0::/", {"sys/fs/cgroup/memory.max": str(256 * MIB)})
    with caplog.at_level(logging.WARNING):
        assert body_memory(None, Share(0, 4), root) == LEAST
    (record,) = caplog.records
    assert record.message == "memory_short"
    assert vars(record)["memory_wanted"] == 384 * MIB
