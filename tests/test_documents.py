"""What the documents say is so: links lead somewhere, commands exist, every word is told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.model import Reason
from sidecar.policy.load import find_problems

ROOT: Final = Path(__file__).parent.parent
COMMANDS: Final = frozenset(
    {
        "run", "demo", "platform", "token", "check", "explain", "health", "drain", "inject",
        "quota", "records", "catalog", "search", "webhooks", "requests", "doctor", "init", "authz",
    }
)  # fmt: skip
GROUPS: Final = frozenset({"quota", "records", "webhooks"})
"""Commands whose flags belong to a command of theirs."""
WORDS: Final = (
    "Call", "Identity", "Route", "Charge", "Outcome", "Verdict", "Reason", "Decision", "Permit",
    "Lease", "Credit", "Journal", "Replay", "Shadow", "Upstream",
)  # fmt: skip

FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def documents() -> list[Path]:
    """Return the documents that a reader of the repository meets."""
    top = [ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def prose_of(path: Path) -> str:
    """Return a document without its blocks of code."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors_of(path: Path) -> set[str]:
    """Return the anchors that a Markdown viewer gives the headings of a document."""
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in HEADING.findall(prose_of(path))
    }


def shell_commands() -> Iterator[tuple[Path, list[str]]]:
    """Give each command in the documents' shell blocks, as words, with its document."""
    for path in documents():
        for language, block in FENCE.findall(path.read_text(encoding="utf-8")):
            if language not in {"bash", "sh", "shell", "console"}:
                continue
            for line in block.replace("\\\n", " ").splitlines():
                words = line.partition("# ")[0].removeprefix("$ ").split()
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    del words[0]  # a variable set for the command
                if words:
                    yield path, words


@cache
def help_of(*command: str) -> str:
    """Return what a command of ours says of itself."""
    ran = subprocess.run(  # noqa: S603 - our own interpreter, a name from our own documents
        [sys.executable, "-m", "sidecar", *command, "--help"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, f"bb-sidecar {' '.join(command)} --help: {ran.stderr}"
    return ran.stdout


def _command(words: list[str]) -> list[str]:
    return words[: 2 if words[0] in GROUPS else 1]


def our_commands() -> list[tuple[str, list[str]]]:
    """Return each command of ours in the documents: where it is, and its words from its name on."""
    return [
        (path.name, words[1:])
        for path, words in shell_commands()
        if words[0].rpartition("/")[2] == "bb-sidecar"
    ]


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    """A link to a file of the repository names one that is there, and a heading that is in it."""
    broken = []
    for link in LINK.findall(prose_of(path)):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (
            anchor and file.suffix == ".md" and anchor not in anchors_of(file)
        ):
            broken.append(link)
    assert broken == []


def test_documents_name_commands_of_the_interface() -> None:
    """A command in a shell block is one of those that the interface fixes."""
    unknown = [
        f"{name}: bb-sidecar {' '.join(words)}"
        for name, words in our_commands()
        if not words or words[0] not in COMMANDS | {"--help", "--version"}
    ]
    assert unknown == []


def test_documents_use_flags_that_exist() -> None:
    """A flag in a shell block is one that the command knows."""
    unknown = [
        f"{name}: bb-sidecar {words[0]} {flag}"
        for name, words in our_commands()
        if words[0] in COMMANDS
        for flag in (word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word))
        if not re.search(rf"(?<![\w-]){re.escape(flag)}\b", help_of(*_command(words)))
    ]
    assert unknown == []


def policies_in_documents() -> list[tuple[str, str]]:
    """Return each whole policy that a document shows, with the document's name."""
    return [
        (path.name, block)
        for path in documents()
        for language, block in FENCE.findall(path.read_text(encoding="utf-8"))
        if language == "yaml" and block.startswith("version:")
    ]


@pytest.mark.parametrize(("name", "policy"), policies_in_documents())
def test_policies_in_documents_are_valid(name: str, policy: str) -> None:
    """A policy that a reader copies loads."""
    problems = find_problems(policy.encode(), file=name, environ=None)
    assert [str(problem) for problem in problems] == []


def test_documents_use_make_targets_that_exist() -> None:
    """A make target in a shell block is in the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    unknown = [
        f"{path.name}: make {word}"
        for path, words in shell_commands()
        if words[0] == "make"
        for word in words[1:]
        if "=" not in word and word not in targets
    ]
    assert unknown == []


def test_changelog_begins_with_what_is_unreleased() -> None:
    """A user finds what is new at the top, and it says something."""
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    assert sections[1].startswith("Unreleased\n")
    assert re.search(r"^- ", sections[1], re.MULTILINE)


def test_the_threat_model_names_tests_that_exist() -> None:
    """A promise that is said to be tested is tested by a file that is there."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[^`]+)`", text))
    assert len(named) > 15
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_glossary_tells_every_word() -> None:
    """Each word of the domain has its paragraph."""
    headings = set(HEADING.findall((ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")))
    assert sorted(set(WORDS) - headings) == []


def test_glossary_tells_every_reason() -> None:
    """The table of reasons is the list of the model: none is missing, none is made up."""
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    told = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert told == {str(reason) for reason in Reason}


def test_design_decisions_are_numbered_in_order() -> None:
    """A record keeps its number: others point to it."""
    text = (ROOT / "docs" / "design-decisions.md").read_text(encoding="utf-8")
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", text, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))
