"""Fakes at the policy store's ports."""

from __future__ import annotations


class NotingPolicyObserver:
    """Notes the outcome of every reload."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def policy_reloaded(self, outcome: str) -> None:
        self.outcomes.append(outcome)
