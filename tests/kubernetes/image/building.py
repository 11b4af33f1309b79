"""The image, built where only package registries can be reached.

The base is made with debootstrap and tagged with the public name that the Dockerfile asks for, and
what pip installs comes from a folder of wheels that this machine's own pip has filled.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from tests.kubernetes.image.podman import Podman

ROOT: Final = Path(__file__).parents[3]
IMAGE: Final = "localhost/bizbasics-sidecar:test"
_PYTHON: Final = "3.13"
_SUITE: Final = "trixie"
"""The Debian release whose Python is the public image's: checked against the Dockerfile."""
_MIRROR: Final = "http://deb.debian.org/debian"


def public_base() -> str:
    """Return the base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None, "Dockerfile: no ARG BASE="
    assert found[1].endswith(f":{_PYTHON}-slim-{_SUITE}"), f"{found[1]}: the stand-in is another"
    return found[1]


def make_base(podman: Podman, folder: Path) -> None:
    """Make the base from Debian packages, once, and tag it with the public name."""
    archive = folder / f"{_SUITE}-python.tar"
    if not archive.exists():
        tree = folder / "base"
        shutil.rmtree(tree, ignore_errors=True)
        _run(
            "debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates",
            _SUITE, str(tree), _MIRROR,
        )  # fmt: skip
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man"):
            shutil.rmtree(tree / waste, ignore_errors=True)
        for name in ("python", "python3"):  # where the public image has them
            (tree / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        unfinished = archive.with_suffix(".part")
        _run("tar", "-C", str(tree), "-cf", str(unfinished), ".")
        unfinished.rename(archive)
        shutil.rmtree(tree)
    podman("import", str(archive), public_base())


def fill_wheelhouse(folder: Path) -> Path:
    """Let this machine's pip fetch every wheel that the image needs; return where they are."""
    wheels = folder / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    wheels.mkdir(parents=True)
    _run(*_pip("download", "--dest", str(wheels)), *_wanted(platform.machine()))
    return wheels


def resolve_everywhere(folder: Path) -> str:
    """See that both architectures find a wheel for everything: no compiler is in the image."""
    for machine in ("x86_64", "aarch64"):
        _run(
            *_pip("install", "--dry-run", "--ignore-installed", "--target", str(folder / "none")),
            *_wanted(machine),
        )
    return "x86_64, aarch64"


def _pip(*words: str) -> list[str]:
    return [sys.executable, "-m", "pip", words[0], "--quiet", *words[1:]]


def _wanted(machine: str) -> list[str]:
    """Return pip's words for all that the image installs, as wheels for its Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    tags = [f"manylinux{glibc}_{machine}" for glibc in ("2014", "_2_17", "_2_28", "_2_34")]
    return [
        "--only-binary=:all:", "--python-version", _PYTHON,
        *(word for tag in tags for word in ("--platform", tag)),
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["redis"],
    ]  # fmt: skip


def build(podman: Podman, wheels: Path) -> None:
    """Build the Dockerfile as it is, from what is here: pip has no index."""
    podman(
        "build", "--isolation", "chroot", "--pull=never",
        "--format", "docker",  # the other format has no HEALTHCHECK
        "--volume", f"{wheels}:/wheels:ro",
        "--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels",
        "--tag", IMAGE, str(ROOT),
    )  # fmt: skip


def _run(*words: str) -> None:
    ran = subprocess.run(  # noqa: S603 - our own words
        words, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
