from __future__ import annotations

from sidecar.events.memory import SeenDeliveries


def test_a_body_is_new_once() -> None:
    """Until its time is over."""
    seen = SeenDeliveries(600.0)
    assert [seen.first_time(b"a", now) for now in (0.0, 1.0, 599.0, 600.0)] == [
        True, False, False, True,
    ]  # fmt: skip


def test_what_is_remembered_is_bounded() -> None:
    """The oldest goes first."""
    seen = SeenDeliveries(600.0, capacity=2)
    for body in (b"a", b"b", b"c"):
        seen.first_time(body, 0.0)
    assert (len(seen), seen.first_time(b"c", 1.0), seen.first_time(b"a", 1.0)) == (2, False, True)


def test_what_is_over_is_forgotten() -> None:
    """Memory goes back to nothing."""
    seen = SeenDeliveries(10.0)
    for number in range(100):
        seen.first_time(b"%d" % number, float(number))
    assert len(seen) == 10
