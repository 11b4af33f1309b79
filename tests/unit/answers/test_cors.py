"""What a page of another origin needs, to read an answer of our own."""

from __future__ import annotations

import pytest

from sidecar.answers.cors import show_to_page
from sidecar.answers.failures import upstream_failure
from sidecar.answers.refusals import refuse
from sidecar.answers.writer import OwnAnswer
from sidecar.domain.cors import Cors, parse_origin_pattern
from sidecar.domain.model import Headers, Reason
from sidecar.http1.errors import PeerFailure
from tests.unit.answers.shown import as_text
from tests.unit.answers.test_refusals import DENIALS, LEFT, NOW, allowed
from tests.unit.golden.compare import assert_golden

PAGE: Headers = ((b"host", b"api.acme.com"), (b"origin", b"https://app.acme.com"))
ACME = (parse_origin_pattern("https://*.acme.com"),)
WITH_COOKIES = Cors(ACME, credentials=True)
REFUSAL = refuse(DENIALS["over_quota"], NOW)
CASES = {
    "over_quota-credentials": show_to_page(REFUSAL, WITH_COOKIES, PAGE),
    "over_quota": show_to_page(REFUSAL, Cors(ACME, credentials=False), PAGE),
    "over_quota-other_origin": show_to_page(
        REFUSAL, WITH_COOKIES, ((b"origin", b"https://evilacme.com"),)
    ),
    "upstream_timeout": show_to_page(
        upstream_failure(allowed(Reason.WITHIN_QUOTA, LEFT), PeerFailure.FIRST_BYTE_TIMEOUT, NOW),
        WITH_COOKIES,
        PAGE,
    ),
}


def names(answer: OwnAnswer) -> list[bytes]:
    """Return the names of an answer's fields that a browser goes by."""
    found = [name.lower() for name, _ in answer.headers]
    return [name for name in found if name == b"vary" or name.startswith(b"access-control-")]


@pytest.mark.parametrize("name", CASES)
def test_an_answer_to_a_page_reads_as_its_golden_file_says(name: str) -> None:
    """Status line, fields and body are API."""
    assert_golden(f"cors/{name}.txt", as_text(CASES[name]))


def test_without_the_block_nothing_is_added() -> None:
    """A policy that says nothing of pages changes no answer."""
    assert show_to_page(REFUSAL, None, PAGE) is REFUSAL


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"origin", b"https://evil.example"),),
        ((b"origin", b"null"),),
        ((b"origin", b"https://app.acme.com"), (b"origin", b"https://app.acme.com")),
    ],
)
def test_a_cache_learns_that_the_answer_depends_on_the_origin(headers: Headers) -> None:
    """Also where no page is allowed: else a cache would give that answer to one that is."""
    assert names(show_to_page(REFUSAL, WITH_COOKIES, headers)) == [b"vary"]


def test_each_field_that_the_sidecar_sets_can_be_read() -> None:
    """A browser shows a page the fields that are named, and seven of its own."""
    own = {b"content-type", b"cache-control"}
    shown = dict(CASES["over_quota"].headers)[b"Access-Control-Expose-Headers"]
    exposed = {name.strip().lower() for name in shown.split(b",")}
    for denial in DENIALS.values():
        set_here = {name.lower() for name, _ in refuse(denial, NOW).headers}
        assert set_here - own - {b"www-authenticate", b"accept-encoding"} <= exposed
