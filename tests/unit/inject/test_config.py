"""The injector's file: read whole, or refused with every fault."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sidecar.domain.errors import UserError
from sidecar.inject.config import load_config
from tests.unit.inject.pods import config


def _file(folder: Path, document: object) -> Path:
    path = folder / "injector.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """A file becomes the configuration that it says."""
    wanted = config(port=8081)
    assert load_config(_file(tmp_path, wanted.model_dump(mode="json"))) == wanted


def test_every_fault_is_told_with_its_place(tmp_path: Path) -> None:
    """All that is wrong comes at once, a line for each."""
    document = {"container": {"name": "bb-sidecar"}, "volumes": [], "prot": 1, "port": 0}
    with pytest.raises(UserError) as caught:
        load_config(_file(tmp_path, document))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["native", "port", "prot"]


def test_another_container_name_is_refused(tmp_path: Path) -> None:
    """Without the name, an injected pod would be injected again."""
    document = {"container": {"name": "proxy"}, "volumes": [], "native": True}
    with pytest.raises(UserError, match=r"container\.name: 'proxy'"):
        load_config(_file(tmp_path, document))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The path and the reason are in one line."""
    with pytest.raises(UserError, match=r"gone\.yaml: No such file"):
        load_config(tmp_path / "gone.yaml")


def test_what_is_no_yaml_is_one_line(tmp_path: Path) -> None:
    """A parser's message of many lines is folded."""
    path = tmp_path / "injector.yaml"
    path.write_text("a: [")
    with pytest.raises(UserError) as caught:
        load_config(path)
    assert len(str(caught.value).splitlines()) == 1
