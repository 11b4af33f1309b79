"""Denials that need no engine."""

from __future__ import annotations

import dataclasses

import pytest

from sidecar.answers import early
from sidecar.answers.refusals import refuse
from sidecar.domain.choices import ErrorFormat
from sidecar.domain.model import Decision, Reason
from tests.unit.answers.shown import as_text
from tests.unit.answers.test_refusals import NOW
from tests.unit.golden.compare import assert_golden

ID = "req-7f3a"
PROBLEM = ErrorFormat.PROBLEM
DENIALS = {
    "draining": early.draining(ID, PROBLEM),
    "too-many-bodies": early.overloaded(ID, PROBLEM, early.TOO_MANY_BODIES),
    "too-many-connections": early.overloaded(ID, PROBLEM, early.TOO_MANY_CONNECTIONS),
    "too-many-requests": early.overloaded(ID, PROBLEM, early.TOO_MANY_REQUESTS),
    "unreadable-400": early.unreadable(ID, PROBLEM),
    "unreadable-408": early.unreadable(ID, PROBLEM, 408, "the head took too long to arrive"),
    "unreadable-417": early.unreadable(
        ID, PROBLEM, 417, "the only expectation known here is 100-continue"
    ),
    "unreadable-431": early.unreadable(ID, PROBLEM, 431, "more than 100 header fields"),
    "unreadable-501": early.unreadable(ID, PROBLEM, 501, "TRACE is not served"),
    "unreadable-505": early.unreadable(
        ID, PROBLEM, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here"
    ),
}


@pytest.mark.parametrize("errors", ErrorFormat)
@pytest.mark.parametrize("name", DENIALS)
def test_an_early_denial_reads_as_its_golden_file_says(name: str, errors: ErrorFormat) -> None:
    """Status line, fields and body of each in each format are API."""
    decision = dataclasses.replace(DENIALS[name], errors=errors)
    assert_golden(f"early/{name}.{errors.value}.txt", as_text(refuse(decision, NOW)))


def test_an_early_denial_has_no_route() -> None:
    """The metric's label says so."""
    assert {each.route for each in DENIALS.values()} == {early.UNROUTED}


def test_a_broken_body_keeps_the_route_and_the_format_of_its_call() -> None:
    """The call was decided on before its body broke."""
    call = Decision(Reason.UNMETERED, "chat", ID, None, errors=ErrorFormat.OPENAI)
    broken = early.broken_body(call, 400, "a line ends in a bare CR or LF")
    assert (broken.reason, broken.status) == (Reason.BAD_REQUEST, 400)
    assert (broken.route, broken.request_id, broken.errors) == ("chat", ID, ErrorFormat.OPENAI)
