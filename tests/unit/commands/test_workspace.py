from __future__ import annotations

import pytest

from tests.unit.commands.conftest import ORG, PRODUCT, Ran, Run


def publish(run: Run, ref: str, title: str, *more: str) -> Ran:
    """Publish a note."""
    return run(
        "records", "publish", "--org", ORG, "--product", PRODUCT, "--type", "note", "--ref", ref,
        "--title", title, *more,
    )  # fmt: skip


def test_a_published_record_is_listed(run: Run) -> None:
    """With what was given."""
    publish(run, "n1", "Budget", "--meta", '{"pages": 3}', "--subtitle", "of 2025")
    (record,) = run("records", "list", "--type", "note", "--json").json()
    assert (record["title"], record["meta"], record["subtitle"]) == (
        "Budget", {"pages": 3}, "of 2025",
    )  # fmt: skip


def test_a_title_cannot_steer_the_terminal(run: Run) -> None:
    """Its control characters are marks in a table."""
    publish(run, "n2", "\x1b[31mred\x07")
    assert "\x1b" not in run("records", "list").out


def test_a_title_is_not_markup(run: Run) -> None:
    """Square brackets are shown as they are."""
    publish(run, "n3", "[bold]plain[/bold]")
    assert "[bold]plain[/bold]" in run("records", "list").out


def test_a_list_says_that_there_is_more(run: Run) -> None:
    """And how to see it."""
    publish(run, "n4", "one")
    publish(run, "n5", "two")
    assert "--limit shows more" in run("records", "list", "--limit", "1").out


@pytest.mark.parametrize("meta", ["[1]", '{"x": NaN}', "{", "[" * 100_000])
def test_meta_that_is_no_object(run: Run, meta: str) -> None:
    """Told before anything is sent."""
    ran = publish(run, "n6", "x", "--meta", meta)
    assert (ran.status, "is not a JSON object" in ran.err) == (2, True)
    assert len(ran.err) < 300


def test_catalog(run: Run) -> None:
    """Whether the org has each."""
    rows = [line.split() for line in run("catalog").out.splitlines()[1:]]
    assert sorted((row[0], row[-1]) for row in rows) == [("acme-notes", "yes"), ("other-app", "no")]


def test_search(run: Run) -> None:
    """By a word of the title."""
    publish(run, "n7", "Zebrafinch")
    (found,) = run("search", "zebrafinch", "--json").json()
    assert found["record"]["source_ref"] == "n7"


def test_a_search_that_finds_nothing_says_so(run: Run) -> None:
    """An empty table says nothing."""
    assert run("search", "nowhere").out.strip() == "none"
