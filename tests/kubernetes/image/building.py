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
from pathlib import Path
from typing import Final, Literal

from tests.kubernetes.image.podman import Podman
from tools.lock import BUILD, PYTHON, platform_words
from tools.lock import IMAGE as IMAGE_LOCK

ROOT: Final = Path(__file__).parents[3]
IMAGE: Final = "localhost/bizbasics-sidecar:test"
PURE_IMAGE: Final = "localhost/bizbasics-sidecar:pure"
_PROBE: Final = "localhost/bizbasics-sidecar:probe"
Build = Literal["compiled", "pure"]
"""What the Dockerfile's argument BUILD may be."""
_SUITE: Final = "trixie"
"""The Debian release whose Python is the public image's: checked against the Dockerfile."""
_MIRROR: Final = "http://deb.debian.org/debian"
_HERE: Final = ("--isolation", "chroot", "--pull=never", "--layers=false")
"""A layer would be a copy of the whole file system, in this storage."""
_CLEAN: Final = """\
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
"""What was installed is not kept, as in the public image."""
_HEADERS: Final = f"""\
mkdir /tmp/headers
cd /tmp/headers
apt-get update
apt-get download libpython{PYTHON}-dev
dpkg --extract *.deb .
cp -R usr/include /usr
rm -r /tmp/headers
"""
"""Python's headers, which the public image has, without what their package needs: no libc's."""


def public_base() -> str:
    """Return the base that the Dockerfile names."""
    found = re.search(r"^ARG BASE=(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found is not None, "Dockerfile: no ARG BASE="
    assert found[1].endswith(f":{PYTHON}-slim-{_SUITE}"), f"{found[1]}: the stand-in is another"
    return found[1]


def make_base(podman: Podman, folder: Path) -> None:
    """Make the base from Debian packages, once, and tag it with the public name."""
    archive = folder / f"{_SUITE}-python-headers.tar"
    if not archive.exists():
        tree = folder / "base"
        shutil.rmtree(tree, ignore_errors=True)
        _run(
            "debootstrap", "--variant=minbase", "--include=python3,python3-venv,ca-certificates",
            _SUITE, str(tree), _MIRROR,
        )  # fmt: skip
        (tree / "etc/apt/apt.conf.d/clean").write_text(_CLEAN)
        _run("chroot", str(tree), "sh", "-euc", _HEADERS)
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
    """See that both architectures find a wheel for everything: nothing else is compiled."""
    for machine in ("x86_64", "aarch64"):
        _run(
            *_pip("install", "--dry-run", "--ignore-installed", "--target", str(folder / "none")),
            *_wanted(machine),
        )
    return "x86_64, aarch64"


def _pip(*words: str) -> list[str]:
    return [sys.executable, "-m", "pip", words[0], "--quiet", *words[1:]]


def _wanted(machine: str) -> list[str]:
    """Return pip's words for all that the image installs and is built with, by their hashes."""
    locks = ["--requirement", str(IMAGE_LOCK), "--requirement", str(BUILD)]
    return ["--no-deps", "--require-hashes", *platform_words(machine), *locks]


def reaches_debian(podman: Podman, folder: Path) -> bool:
    """Tell whether a build on this machine can ask Debian's mirror, as its compiler does."""
    probe = folder / "probe"
    probe.mkdir(exist_ok=True)
    (probe / "Dockerfile").write_text(
        f"FROM {public_base()}\nRUN apt-get update --error-on=any -o Acquire::Retries=1\n"
    )
    try:
        podman("build", *_HERE, "--tag", _PROBE, str(probe))
    except RuntimeError:
        return False
    podman("rmi", _PROBE)
    return True


def build(podman: Podman, wheels: Path, which: Build, image: str) -> None:
    """Build the Dockerfile as it is, from what is here: pip has no index.

    The compiled wheel stays in dist/image: `.ci/compiled test` tries the same one.
    """
    compiled = ROOT / "dist" / "image"
    if which == "compiled":
        shutil.rmtree(compiled, ignore_errors=True)
        compiled.mkdir(parents=True)
    podman(
        "build", *_HERE,
        "--format", "docker",  # the other format has no HEALTHCHECK
        "--volume", f"{wheels}:/wheels:ro",
        "--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/wheels",
        *(["--build-arg", "BUILD=pure"] if which == "pure"  # compiled: the default
          else ["--volume", f"{compiled}:/dist"]),
        "--tag", image, str(ROOT),
    )  # fmt: skip


def _run(*words: str) -> None:
    ran = subprocess.run(  # noqa: S603 - our own words
        words, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
