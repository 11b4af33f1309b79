"""Write requirements/*.lock: every file that the image may install, with its hash: `make lock`.

`image.lock` is what runs, `envoy.lock` what `authz --grpc` takes beside that (in an image that is
built with EXTRA=envoy), and `build.lock` what the build needs. Each is resolved for both
architectures of the image; pip's `--require-hashes` then takes nothing else. A test fails when
pyproject.toml asks for something else than a lock was made for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "requirements"
IMAGE: Final = FOLDER / "image.lock"
ENVOY: Final = FOLDER / "envoy.lock"
BUILD: Final = FOLDER / "build.lock"
PYTHON: Final = "3.13"
"""The image's; markers are those of the Python that resolves, so it must be the same."""
MACHINES: Final = ("x86_64", "aarch64")
SBOM: Final = "cyclonedx-bom>=7.5"
"""What lists the image's packages, in its build."""

_FROM: Final = "# from: "
_TOP: Final = """\
# By `make lock`, for Python {python} on Linux, {machines}. Do not edit.
"""

Hashes = dict[str, set[str]]
"""By `name==version`."""


def wanted() -> tuple[list[str], list[str], list[str]]:
    """Return what runs in the image, what gRPC needs as well, and what the build does."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = document["project"]
    mypyc = document["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]
    runs = [*project["dependencies"], *project["optional-dependencies"]["redis"]]
    build = [*document["build-system"]["requires"], *mypyc["dependencies"], SBOM]
    return runs, project["optional-dependencies"]["envoy"], build


def made_from(lock: str) -> list[str]:
    """Return the requirements that a lock was made for."""
    return [line.removeprefix(_FROM) for line in lock.splitlines() if line.startswith(_FROM)]


def locked(lock: str) -> Hashes:
    """Return the hashes of a lock by name and version."""
    found: Hashes = {}
    for entry in lock.replace("\\\n", " ").splitlines():
        if entry and not entry.startswith("#"):
            pin, *hashes = entry.split()
            found[pin] = {each.removeprefix("--hash=") for each in hashes}
    return found


def written(requirements: Iterable[str], hashes: Mapping[str, Iterable[str]]) -> str:
    """Return the text of a lock."""
    lines = [_TOP.format(python=PYTHON, machines=", ".join(MACHINES))]
    lines += [f"{_FROM}{each}\n" for each in requirements]
    for pin, found in sorted(hashes.items()):
        lines.append(" \\\n".join([pin, *(f"    --hash={each}" for each in sorted(found))]) + "\n")
    return "".join(lines)


def platform_words(machine: str) -> list[str]:
    """Return pip's words for the wheels of an architecture, and nothing that must be compiled."""
    tags = [f"manylinux{glibc}_{machine}" for glibc in ("2014", "_2_17", "_2_28", "_2_34")]
    words = [word for tag in tags for word in ("--platform", tag)]
    return ["--only-binary=:all:", "--python-version", PYTHON, *words]


def resolve(requirements: Sequence[str], pinned: Iterable[str] = ()) -> Hashes:
    """Let pip choose, on both architectures the same versions; `pinned` are chosen already."""
    found: Hashes = {}
    for machine in MACHINES:
        chosen = _chosen(requirements, [*pinned, *found], machine)
        for pin, hashed in chosen.items():
            found.setdefault(pin, set()).update(hashed)
    names = [pin.partition("==")[0] for pin in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise RuntimeError(f"{', '.join(twice)}: another version on each architecture")
    return found


def _chosen(requirements: Sequence[str], pinned: Iterable[str], machine: str) -> Hashes:
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\n".join(pinned))
        report = _pip(
            "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-",
            "--target", folder, "--constraint", str(constraints), *platform_words(machine),
            *requirements,
        )  # fmt: skip
    return dict(_entry(each) for each in json.loads(report)["install"])


def _entry(installed: Mapping[str, Any]) -> tuple[str, set[str]]:
    metadata = installed["metadata"]
    name = re.sub(r"[-_.]+", "-", metadata["name"]).lower()
    sha256 = installed["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name}=={metadata['version']}", {f"sha256:{sha256}"}


def _pip(*words: str) -> str:
    """Ask the index alone: a folder of files of this machine may hold others than it does."""
    environ = {**os.environ, "PIP_CONFIG_FILE": os.devnull}
    environ.pop("PIP_FIND_LINKS", None)
    ran = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, env=environ,
        check=False,
    )  # fmt: skip
    if ran.returncode:
        raise RuntimeError(f"pip {words[0]}: {ran.stderr[-2000:]}")
    return ran.stdout


def main() -> int:
    """Write the locks."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != PYTHON:
        sys.stderr.write(f"this is Python {here}: make lock PYTHON=python{PYTHON}\n")
        return 2
    runs, envoy, builds = wanted()
    image = resolve(runs)
    FOLDER.mkdir(exist_ok=True)
    IMAGE.write_text(written(runs, image), encoding="utf-8")
    for lock, more in ((ENVOY, envoy), (BUILD, builds)):
        everything = resolve([*runs, *more], image)
        beside = {pin: hashes for pin, hashes in everything.items() if pin not in image}
        lock.write_text(written(more, beside), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
