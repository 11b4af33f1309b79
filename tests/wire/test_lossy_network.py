"""Lost, late and reordered packets: a chain in a network namespace whose loopback is bad.

Where no namespace can be made (not Linux, not root, no `iptables`), a test says so in its output
and holds the reason against the list of those that are known.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from functools import cache
from typing import Final

import pytest

REQUESTS: Final = 60
REASONS: Final = ("not Linux", "no program", "not permitted")
"""Why a machine may be without the network of these tests; docs/limits.md names them."""

LOSS: Final = "iptables -A INPUT -i lo -m statistic --mode random --probability {} -j DROP"
NARROW: Final = "tc qdisc add dev lo root tbf rate 8mbit burst 16kb latency 30ms"
NETWORKS: Final = {
    "loss": LOSS.format("0.02"),
    "narrow": NARROW,
    "loss and narrow": f"{NARROW} && {LOSS.format('0.01')}",
}


@cache
def missing() -> str:
    """Return why there can be no bad network here; "" where there can."""
    if sys.platform != "linux":
        return "not Linux: network namespaces are its own"
    for program in ("unshare", "ip", "iptables", "tc"):
        if shutil.which(program) is None:
            return f"no program {program}"
    tried = subprocess.run(  # noqa: S603 - words of this file
        _in_namespace(f"{LOSS.format('0.5')} && {NARROW}"),
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    if tried.returncode:
        return f"not permitted: {(tried.stderr or tried.stdout).strip()}"
    return ""


def _in_namespace(command: str) -> list[str]:
    """Return what runs a command in a namespace that ends with it."""
    script = f"ip link set lo mtu 1500 up && {command}"
    return ["unshare", "--map-root-user", "--net", "--", "sh", "-c", script]


def test_the_bad_network_is_there_or_its_absence_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nobody takes tests that could not run for tests that passed."""
    why = missing()
    with capsys.disabled():
        if why:
            print(f"\nNO BAD NETWORK HERE, packet loss is not tried: {why}")  # noqa: T201 - to be seen
    assert not why or why.startswith(REASONS)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
async def test_every_unit_is_accounted_for_on_a_bad_network(network: str) -> None:
    """Retransmissions make calls slow, never lost, doubled or free."""
    if missing():
        assert missing().startswith(REASONS)
        return
    program = f'{network} && exec "{sys.executable}" -m tests.wire.lossy {REQUESTS}'
    process = await asyncio.create_subprocess_exec(
        *_in_namespace(program), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    found = json.loads(out)
    assert found["seen"] == {"200": REQUESTS}
    assert found["paid_for"] == found["executed"] == REQUESTS
    assert found["sent_again"] > 0 or "statistic" not in network
