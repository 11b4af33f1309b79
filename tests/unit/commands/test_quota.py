from __future__ import annotations

from tests.unit.commands.conftest import ORG, PRODUCT, Run


def test_consume_counts(run: Run) -> None:
    """And shows what is left, with the key that makes a repeat free."""
    told = run("quota", "consume", "--org", ORG, "--amount", "2", "--key", "k1", "--json").json()
    assert (told["allowed"], told["key"]) == (True, "k1")
    again = run("quota", "consume", "--org", ORG, "--amount", "2", "--key", "k1", "--json").json()
    assert again == told


def test_consume_over_the_limit_is_exit_1(run: Run) -> None:
    """A script can tell; it is no error."""
    ran = run("quota", "consume", "--org", ORG, "--amount", "26")
    assert (ran.status, ran.err) == (1, "")
    assert "refused" in ran.out


def test_status_is_a_table(run: Run) -> None:
    """A line for each resource; -1 in words."""
    ran = run("quota", "status")
    lines = {line.split()[0]: line.split() for line in ran.out.splitlines()}
    assert lines["resource"][:4] == ["resource", "used", "limit", "remaining"]
    assert lines["ai_calls"][2] == "25"
    assert lines["api_calls"][2] == "unlimited"


def test_status_as_json_has_times_that_programs_read(run: Run) -> None:
    """ISO 8601, in UTC."""
    quota = run("quota", "status", "--json").json()["quotas"]["ai_calls"]
    assert quota["reset_at"].endswith("-01T00:00:00Z")


def test_breakdown_is_by_product(run: Run) -> None:
    """What this product used."""
    run("quota", "consume", "--org", ORG)
    told = run("quota", "breakdown", "--json").json()
    assert told["products"][PRODUCT]["ai_calls"]["used"] >= 1
    assert PRODUCT in run("quota", "breakdown").out
