"""However an answer is cut, and whatever is wrong with it, one exchange has one end."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http1.errors import PeerFailure
from tests.properties.examples import examples
from tests.properties.http_messages import CHUNKED_BODIES, mutated, pieces
from tests.unit.http1.answer_vectors import FAILED, WHOLE, Answer
from tests.unit.http1.line import Outcome, outcome

_CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_ANSWERS = st.one_of(
    mutated(st.sampled_from([answer.data for answer in (*WHOLE.values(), *FAILED.values())])),
    CHUNKED_BODIES.map(_CHUNKED_HEAD.__add__),
)


def without_content(seen: Outcome) -> Outcome:
    """Forget how far a broken body had come: that depends on how it was cut."""
    return Outcome(seen.interim, seen.status, b"", (), seen.whole, seen.failure, seen.kept)


@settings(max_examples=examples(500))
@given(pieces(_ANSWERS), st.sampled_from(["GET", "HEAD"]), st.booleans())
def test_no_cut_changes_an_exchange(parts: list[bytes], method: str, closes: bool) -> None:  # noqa: FBT001
    """Head, content, end and the fate of the connection are the same as for the whole."""
    answer = Answer(b"", method=method, closes=closes)
    whole, cut = outcome(answer, [b"".join(parts)]), outcome(answer, parts)
    if PeerFailure.PROTOCOL in {whole.failure, cut.failure}:
        whole, cut = without_content(whole), without_content(cut)
    assert cut == whole


@settings(max_examples=examples(300))
@given(pieces(_ANSWERS))
def test_a_broken_answer_never_looks_whole(parts: list[bytes]) -> None:
    """When the stream ends, an answer is whole or a failure, and never both."""
    seen = outcome(Answer(b"", closes=True), parts)
    assert seen.whole == (seen.failure is None)


@settings(max_examples=examples(300))
@given(pieces(_ANSWERS))
def test_a_failed_exchange_never_keeps_its_connection(parts: list[bytes]) -> None:
    """What went wrong once is not asked again."""
    seen = outcome(Answer(b""), parts)
    assert seen.failure is None or not seen.kept
