"""What the image must do, one function for each; AssertionError says what it did instead."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from tests.kubernetes.image.building import ROOT, Build
from tests.kubernetes.image.pod import LIMIT, SIDECAR, Scene, log
from tests.kubernetes.image.podman import Podman, wait_until
from tools.lock import IMAGE as IMAGE_LOCK
from tools.lock import locked

_CHAT: Final = "/api/v1/chat"
_STREAM: Final = "/api/v1/chat/completions"
_LOCKED: Final = ("--network", "none", "--read-only", "--cap-drop", "all", "--memory", "128m")
LABELS: Final = (
    "title", "description", "authors", "vendor", "licenses", "url", "documentation", "source",
    "version", "revision", "created", "ref.name", "base.name",
)  # fmt: skip
"""Of the OCI's annotations: all that can be known of an image when it is built."""
_PACE: Final = 0.3
"""Seconds between two events of the product."""
_LARGEST: Final = 100 * 1024 * 1024
"""Bytes that we may add to the base."""


@contextmanager
def idle(podman: Podman, image: str) -> Iterator[Callable[..., str]]:
    """Run a container that waits; yield what runs Python in it.

    One for all that looks at the image: this storage copies the whole image for each container.
    """
    command = ("--entrypoint", "python", image, "-c", "import time; time.sleep(3600)")
    container = podman("run", "--detach", "--no-healthcheck", *_LOCKED, *command)
    try:
        yield partial(podman, "exec", container, "python")
    finally:
        podman("rm", "--force", "--time", "0", container)


def is_the_build(podman: Podman, python: Callable[..., str], image: str, build: Build) -> str:
    """What was asked for is what runs and what the label says; nothing of its making is left."""
    program = (
        "import json, pathlib, sidecar.proxy.gateway as g;"
        "print(json.dumps([g.__file__, [str(p) for r in ('/src', '/dist', '/opt/sidecar')"
        " for p in pathlib.Path(r).rglob('*')"
        " if r != '/opt/sidecar' or p.suffix in ('.c', '.o', '.a')"
        " or p.name in ('.mypy_cache', 'mypy', 'mypyc', 'setuptools', 'build')]]))"
    )
    found = python("-c", program)
    file, left = json.loads(found)
    assert file.endswith({"compiled": ".so", "pure": ".py"}[build]), file
    assert not left, left
    labels = json.loads(podman("image", "inspect", image))[0]["Config"]["Labels"]
    assert labels["ai.bizbasics.sidecar.build"] == build, labels
    return build


def is_small_and_bare(podman: Podman, python: Callable[..., str], image: str) -> str:
    """Nothing that builds or installs is left, nothing runs as root, the labels say what it is."""
    told: dict[str, Any] = json.loads(podman("image", "inspect", image))[0]
    config = told["Config"]
    assert config["User"] == "65532:65532", config["User"]
    assert config["Entrypoint"] == ["bb-sidecar"], config["Entrypoint"]
    assert told["Healthcheck"]["Test"] == ["CMD", "bb-sidecar", "health"], told
    for name in LABELS:
        assert config["Labels"][f"org.opencontainers.image.{name}"], name
    program = (
        "import importlib.util as u, json, os, shutil;"
        "tools = ['cc', 'gcc', 'g++', 'ld', 'as', 'make', 'pip', 'pip3'];"
        "print(json.dumps([[t for t in tools if shutil.which(t)],"
        " [m for m in ('pip', 'ensurepip') if u.find_spec(m)], os.getuid()]))"
    )
    found = python("-c", program)
    assert json.loads(found) == [[], [], 65532], found
    base = json.loads(
        podman("image", "inspect", config["Labels"]["org.opencontainers.image.base.name"])
    )
    added = told["Size"] - base[0]["Size"]
    assert added < _LARGEST, f"{added} bytes are added to the base"
    return f"adds {added / 1e6:.0f} MB to its base of {base[0]['Size'] / 1e6:.0f} MB"


def lists_its_packages(python: Callable[..., str]) -> str:
    """The list in it is CycloneDX's, and names what the lock has and what is installed: no more."""
    program = (
        "import importlib.metadata as m, json;"
        "sbom = json.load(open('/opt/sidecar/share/sbom.cdx.json'));"
        "names = [[d.name.lower().replace('_', '-').replace('.', '-'), d.version]"
        " for d in m.distributions()];"
        "print(json.dumps([sbom['bomFormat'], names,"
        " [[c['name'].lower().replace('_', '-').replace('.', '-'), c['version']]"
        " for c in [*sbom['components'], sbom['metadata']['component']] if 'version' in c]]))"
    )
    found = python("-Ic", program)
    kind, installed, listed = json.loads(found)
    assert kind == "CycloneDX", kind
    pins = {tuple(pin.split("==")) for pin in locked(IMAGE_LOCK.read_text())}
    ours = {(name, version) for name, version in installed if name == "bizbasics-sidecar"}
    assert {(name, version) for name, version in installed} == pins | ours, installed
    assert {(name, version) for name, version in listed} - ours == pins, listed
    return f"{len(pins)} packages, as locked"


def has_its_bytecode(python: Callable[..., str]) -> str:
    """Every module of ours comes with its bytecode: a read-only root keeps none."""
    program = (
        "import pathlib, sidecar.app.process, sidecar.policy.load, sys;"
        "specs = [m.__spec__ for m in list(sys.modules.values()) if m.__spec__];"
        "bare = [s.origin for s in specs if (s.origin or '').endswith('.py')"
        " and not pathlib.Path(s.cached or '').is_file()];"
        "print(bare)"
    )
    found = python("-c", program)
    assert found == "[]", found
    return "none is made at the start"


def starts(podman: Podman, image: str, folder: Path) -> str:
    """It serves, reads a policy that has changed, and ends when it is told to."""
    policy = folder / "policy.yaml"
    policy.write_bytes((ROOT / "policies" / "shadow.yaml").read_bytes())
    podman(
        "run", "--detach", "--name", "alone", "--no-healthcheck", *_LOCKED,
        "--volume", f"{policy}:/policy.yaml:ro",
        "--env", "PLATFORM_INTERNAL_KEY=bbas_image_0123456789abcdef", image,
        "run", "--policy", "/policy.yaml", "--upstream", "http://127.0.0.1:18080",
    )  # fmt: skip
    try:
        wait_until(
            lambda: '"event":"started"' in podman("logs", "alone", stderr=True),
            "it starts",
        )
        with policy.open("a") as file:
            file.write("# changed\n")
        wait_until(
            lambda: '"event":"policy_loaded"' in podman("logs", "alone", stderr=True),
            "it reads the changed policy",
        )
        seconds = _seconds_to_start(podman, "alone")
        podman("stop", "--time", "30", "alone")
        code = podman("inspect", "alone", "--format", "{{.State.ExitCode}}")
        assert code == "0", f"{code}: {podman('logs', 'alone', stderr=True)}"
    finally:
        podman("rm", "--force", "--time", "2", "alone", check=False)
    return f"started in {seconds:.1f} s, read its policy again, and ended when told to"


def is_locked_down(scene: Scene) -> str:
    """The pod got what the chart asked for: read-only root, no capability, little memory."""
    told: dict[str, Any] = json.loads(scene.podman("inspect", SIDECAR))[0]
    host = told["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert not told["EffectiveCaps"], told["EffectiveCaps"]
    assert not told["BoundingCaps"], told["BoundingCaps"]
    assert host["Memory"] == 128 * 1024 * 1024
    status = scene.podman("exec", SIDECAR, "python", "-c", "print(open('/proc/1/status').read())")
    seconds = _seconds_to_start(scene.podman, SIDECAR)
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
    assert '"drained":true' in log(scene.podman), log(scene.podman)[-1000:]
    return f"{len(seen)} events, nothing cut off, then the end"


def _seconds_to_start(podman: Podman, container: str) -> float:
    lines = podman("logs", container, stderr=True).splitlines()
    started = json.loads(next(line for line in lines if "started" in line))
    begun = podman("inspect", container, "--format", "{{json .State.StartedAt}}")
    took = dt.datetime.fromisoformat(started["timestamp"]) - dt.datetime.fromisoformat(
        json.loads(begun)
    )
    return took.total_seconds()


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
