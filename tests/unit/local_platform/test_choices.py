"""Choices that must agree with one another."""

from sidecar.local_platform import choices


def test_there_is_a_wait_after_every_attempt_but_the_last() -> None:
    """Else an attempt would have no time of its own."""
    assert len(choices.WEBHOOK_WAITS) >= choices.WEBHOOK_ATTEMPTS - 1


def test_a_replaced_key_outlives_its_tokens() -> None:
    """Withdrawn sooner, rotation would log people out."""
    assert choices.WITHDRAW_AFTER_SECONDS > choices.TOKEN_SECONDS
