"""The locks of the image: made for what pyproject.toml asks for now, and all that pip takes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.kubernetes.image.trial import LABELS
from tests.kubernetes.rendering import ROOT
from tools.lock import BUILD, ENVOY, IMAGE, PYTHON, locked, made_from, wanted, written

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize(("lock", "asked"), [*zip((IMAGE, ENVOY, BUILD), wanted(), strict=True)])
def test_a_lock_is_current(lock: Path, asked: list[str]) -> None:
    """It was made for these requirements: else run `make lock`."""
    assert made_from(lock.read_text(encoding="utf-8")) == asked


def test_the_locks_hold_what_is_asked_for() -> None:
    """A version that each requirement allows; of extras too."""
    pins = locked(IMAGE.read_text()) | locked(ENVOY.read_text()) | locked(BUILD.read_text())
    versions = dict(pin.split("==") for pin in pins)
    for text in itertools.chain(*wanted()):
        each = Requirement(text)
        assert each.specifier.contains(versions[canonicalize_name(each.name)]), text


def test_every_package_has_its_hashes() -> None:
    """One for each file that pip may take, of a strong kind; none of the image is in another."""
    image, envoy, build = (locked(lock.read_text()) for lock in (IMAGE, ENVOY, BUILD))
    assert image.keys().isdisjoint(envoy | build)
    for pin, hashes in (image | envoy | build).items():
        assert re.fullmatch(r"[a-z0-9-]+==[0-9A-Za-z.+!]+", pin)
        assert hashes
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes)


def test_a_lock_reads_as_it_was_written() -> None:
    """Requirements and hashes, in an order that does not hang on pip's."""
    hashes = {"b==2": {"sha256:2", "sha256:1"}, "a==1": {"sha256:3"}}
    text = written(["b>=2", "a"], hashes)
    assert locked(text) == hashes
    assert made_from(text) == ["b>=2", "a"]
    assert text == written(["b>=2", "a"], dict(reversed(hashes.items())))


def test_the_image_installs_nothing_that_is_not_locked() -> None:
    """Each use of pip is by hashes, or of our own wheel; the Python is that of the locks."""
    used = re.findall(r"-m pip (install|wheel|download) (.*?)(?=&&)", DOCKERFILE, re.DOTALL)
    assert len(used) == 4
    for _, words in used:
        assert "--require-hashes" in words or "--no-deps" in words
    assert "--no-build-isolation" in DOCKERFILE
    assert f"\nARG BASE=docker.io/library/python:{PYTHON}-" in DOCKERFILE


@pytest.mark.parametrize("name", LABELS)
def test_the_image_is_labelled(name: str) -> None:
    """With all of the OCI's annotations that can be known when it is built."""
    assert f"org.opencontainers.image.{name}=" in DOCKERFILE


def test_the_image_lists_its_packages() -> None:
    """In CycloneDX's form, made when all is installed, and in what is copied."""
    assert "cyclonedx-py environment" in DOCKERFILE
    assert DOCKERFILE.index("pip uninstall") < DOCKERFILE.index("cyclonedx-py")
    assert "--output-file /opt/sidecar/share/sbom.cdx.json" in DOCKERFILE
