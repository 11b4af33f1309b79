"""What the image must do, one function for each; AssertionError says what it did instead."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx

from tests.kubernetes.image.building import IMAGE
from tests.kubernetes.image.pod import LIMIT, SIDECAR, Scene, log
from tests.kubernetes.image.podman import Podman, wait_until

_CHAT: Final = "/api/v1/chat"
_STREAM: Final = "/api/v1/chat/completions"
_LOCKED: Final = ("--network", "none", "--read-only", "--cap-drop", "all", "--memory", "128m")
_PACE: Final = 0.3
"""Seconds between two events of the product."""
_LARGEST: Final = 100 * 1024 * 1024
"""Bytes that we may add to the base."""


def is_small_and_bare(podman: Podman) -> str:
    """Nothing that builds or installs is left, nothing runs as root, the labels say what it is."""
    image: dict[str, Any] = json.loads(podman("image", "inspect", IMAGE))[0]
    config = image["Config"]
    assert config["User"] == "65532:65532", config["User"]
    assert config["Entrypoint"] == ["bb-sidecar"], config["Entrypoint"]
    assert image["Healthcheck"]["Test"] == ["CMD", "bb-sidecar", "health"], image
    for name in ("title", "description", "licenses", "source", "version", "revision", "base.name"):
        assert config["Labels"][f"org.opencontainers.image.{name}"], name
    program = (
        "import importlib.util as u, json, os, shutil;"
        "tools = ['cc', 'gcc', 'g++', 'ld', 'as', 'make', 'pip', 'pip3'];"
        "print(json.dumps([[t for t in tools if shutil.which(t)],"
        " [m for m in ('pip', 'ensurepip') if u.find_spec(m)], os.getuid()]))"
    )
    found = podman("run", "--rm", *_LOCKED, "--entrypoint", "python", IMAGE, "-c", program)
    assert json.loads(found) == [[], [], 65532], found
    base = json.loads(
        podman("image", "inspect", config["Labels"]["org.opencontainers.image.base.name"])
    )
    added = image["Size"] - base[0]["Size"]
    assert added < _LARGEST, f"{added} bytes are added to the base"
    return f"adds {added / 1e6:.0f} MB to its base of {base[0]['Size'] / 1e6:.0f} MB"


def starts_compiled(podman: Podman) -> str:
    """Every module of ours is compiled already: a read-only root keeps no compiled one."""
    program = (
        "import pathlib, sidecar.app, sys;"
        "specs = [m.__spec__ for m in list(sys.modules.values()) if m.__spec__];"
        "bare = [s.origin for s in specs if (s.origin or '').endswith('.py')"
        " and not pathlib.Path(s.cached or '').is_file()];"
        "print(bare)"
    )
    found = podman("run", "--rm", *_LOCKED, "--entrypoint", "python", IMAGE, "-c", program)
    assert found == "[]", found
    return "no module is compiled at the start"


def is_locked_down(scene: Scene) -> str:
    """The pod got what the chart asked for: read-only root, no capability, little memory."""
    told: dict[str, Any] = json.loads(scene.podman("inspect", SIDECAR))[0]
    host = told["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert not told["EffectiveCaps"], told["EffectiveCaps"]
    assert not told["BoundingCaps"], told["BoundingCaps"]
    assert host["Memory"] == 128 * 1024 * 1024
    status = scene.podman("exec", SIDECAR, "python", "-c", "print(open('/proc/1/status').read())")
    started = json.loads(next(line for line in log(scene.podman).splitlines() if "started" in line))
    begun = dt.datetime.fromisoformat(told["State"]["StartedAt"])
    seconds = (dt.datetime.fromisoformat(started["time"]) - begun).total_seconds()
    rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    assert status.startswith("Name:\tbb-sidecar"), "PID 1 is not the sidecar itself"
    return f"{int(rss) / 1024:.0f} MB resident, idle; started in {seconds:.1f} s"


def product_is_behind(scene: Scene) -> str:
    """The product answers through the sidecar alone."""
    assert httpx.get(f"{scene.url}/health").status_code == 200
    try:
        httpx.get(f"http://{scene.address}:18080/health", timeout=2)
    except httpx.TransportError:
        return "its own port answers nobody"
    raise AssertionError("the product answers past the sidecar")


def allows_then_denies(scene: Scene) -> str:
    """Within quota the product answers, over it nothing reaches the product."""
    caller = scene.caller("org_acme")
    answers = [
        httpx.post(f"{scene.url}{_CHAT}", headers=caller, json={"message": "hello"})
        for _ in range(LIMIT + 1)
    ]
    assert [each.status_code for each in answers] == [200] * LIMIT + [429], answers[-1].text
    assert "ratelimit" in answers[0].headers, answers[0].headers
    assert answers[-1].json()["reason"] == "over_quota"
    assert scene.charged("org_acme") == LIMIT
    return f"{LIMIT} allowed and counted, the next one 429"


def streams(scene: Scene) -> str:
    """Events arrive one by one."""
    seen = list(_events(scene, scene.caller("org_beta")))
    assert seen[-1][1] == "data: [DONE]", seen
    assert seen[-1][0] - seen[0][0] > _PACE, "the events came at once"
    return f"{len(seen)} events over {seen[-1][0] - seen[0][0]:.1f} s"


def ends_whole(scene: Scene) -> str:
    """SIGTERM in the middle of a stream: new calls are refused, the stream comes to its end."""
    caller = scene.caller("org_beta")
    seen: list[str] = []
    for _, line in _events(scene, caller):
        seen.append(line)
        if len(seen) == 2:
            scene.podman("kill", "--signal", "TERM", SIDECAR)
            wait_until(lambda: _is_draining(scene, caller), "new calls are refused", 5)
    assert seen[-1] == "data: [DONE]", seen
    wait_until(lambda: '"event":"stopped"' in log(scene.podman), "it stops after the stream", 15)
    assert '"whole":true' in log(scene.podman), log(scene.podman)[-1000:]
    return f"{len(seen)} events, nothing cut off, then the end"


def _is_draining(scene: Scene, caller: dict[str, str]) -> bool:
    answer = httpx.post(f"{scene.url}{_CHAT}", headers=caller, json={"message": "late"})
    return answer.status_code == 503 and answer.json()["reason"] == "draining"


def _events(scene: Scene, caller: dict[str, str]) -> Iterator[tuple[float, str]]:
    body = {"stream": True, "messages": [{"role": "user", "content": "one two three four"}]}
    with httpx.stream(
        "POST", f"{scene.url}{_STREAM}", headers=caller, json=body, timeout=30
    ) as answer:
        assert answer.status_code == 200, answer.status_code
        yield from ((time.monotonic(), line) for line in answer.iter_lines() if line)
