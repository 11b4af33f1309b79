"""The replay book under any order of claims and ends, however small it is."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from sidecar.admission.replays import ReplayBook
from sidecar.domain.choices import OnReplay

STEPS = st.lists(
    st.tuples(
        st.sampled_from([b"a", b"b", b"c", b"d"]),
        st.sampled_from(["claim", "reject", "succeed", "release"]),
        st.sampled_from([0.0, 1.0, 30.0]),
    ),
    max_size=80,
)


@given(STEPS, st.integers(0, 3))
def test_no_client_id_ever_gets_an_attempt_number_twice(
    steps: list[tuple[bytes, str, float]], capacity: int
) -> None:
    """Whatever was forgotten meanwhile, by age or by space."""
    book = ReplayBook(capacity, retention=50.0)
    flying: dict[bytes, int] = defaultdict(int)
    given_out: set[tuple[bytes, int]] = set()
    now = 0.0
    for scope, what, passes in steps:
        now += passes
        if what in ("claim", "reject"):
            replay = OnReplay.REJECT if what == "reject" else OnReplay.CHARGE
            attempt = book.claim(scope, trusted=False, replay=replay, now=now).attempt
            if attempt is not None:
                assert (scope, attempt) not in given_out
                given_out.add((scope, attempt))
                flying[scope] += 1
        elif flying[scope]:
            flying[scope] -= 1
            (book.succeed if what == "succeed" else book.release)(scope, now)
    assert book.in_flight == sum(flying.values())
    assert len(book) <= capacity + sum(1 for count in flying.values() if count)
