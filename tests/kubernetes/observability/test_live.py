"""Real sidecars, a real Prometheus, a real Alertmanager: what is shipped finds what it looks for.

The scene is played once, in about a minute, with the windows of all expressions shortened.
"""

from __future__ import annotations

import pytest

from tests.kubernetes.observability.expressions import PanelQuery, panel_queries, rules
from tests.kubernetes.observability.recording import Recording, record
from tests.kubernetes.observability.servers import promtool

# The scene takes 45 seconds, in the first of these tests.
pytestmark = pytest.mark.timeout(600)

ALERTS = sorted(
    {(rule["alert"], rule["labels"]["severity"]) for rule in rules() if "alert" in rule}
)
RECORDS = sorted(rule["record"] for rule in rules() if "record" in rule)


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The bad day, recorded."""
    return record()


def test_every_pod_is_scraped_without_an_error(recording: Recording) -> None:
    """A page that Prometheus cannot read would be a scrape that failed."""
    there = [each for each in recording.targets if each["labels"]["job"] == "acme-notes"]
    assert there
    assert {each["lastError"] for each in there} == {""}


def test_promtool_finds_no_fault_with_the_metrics(recording: Recording) -> None:
    """Names, units and help texts as Prometheus' own conventions have them."""
    promtool("check", "metrics", given=recording.page)


@pytest.mark.parametrize("query", panel_queries(), ids=lambda query: query.name)
def test_a_panel_has_data(recording: Recording, query: PanelQuery) -> None:
    """A query that never finds anything is a metric misspelt, or a state that cannot be."""
    assert recording.panels[query], query.expr


@pytest.mark.parametrize("name", RECORDS)
def test_a_recording_rule_records(recording: Recording, name: str) -> None:
    """Evaluated by Prometheus itself."""
    assert recording.records[name]


@pytest.mark.parametrize(("name", "severity"), ALERTS)
def test_an_alert_fires_on_the_real_thing(recording: Recording, name: str, severity: str) -> None:
    """The state that it is for was there; its own threshold found it."""
    assert recording.fired[name, severity]


def test_documents_tell_queries_that_can_be_asked(recording: Recording) -> None:
    """In runbooks and pages: each is one that Prometheus understands."""
    assert recording.documents
    assert {query: fault for query, fault in recording.documents.items() if fault} == {}


def test_every_alert_reaches_whoever_is_on_call(recording: Recording) -> None:
    """Through the Alertmanager, to a webhook."""
    delivered = {alert["labels"]["alertname"] for alert in recording.delivered}
    assert delivered == {name for name, _ in ALERTS}


def test_what_arrives_can_be_read(recording: Recording) -> None:
    """Templates are filled in: names and numbers where the braces were."""
    texts = [text for alert in recording.delivered for text in alert["annotations"].values()]
    unfilled = ("{{", "<no value>", "<error")
    broken = [text for text in texts if any(mark in text for mark in unfilled)]
    assert texts
    assert broken == []


def test_the_org_that_runs_out_is_named(recording: Recording) -> None:
    """An alert about a customer that does not say which is none."""
    named = {
        alert["labels"]["org"]
        for alert in recording.delivered
        if alert["labels"]["alertname"] == "BbSidecarOrgAtLimit"
    }
    assert "org_globex" in named
