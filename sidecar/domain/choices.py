"""What a policy may choose for a route. No I/O."""

from __future__ import annotations

from enum import StrEnum


class OnPlatformError(StrEnum):
    """What a metered route does when the platform gives no valid answer."""

    FAIL_OPEN = "fail_open"
    FAIL_CLOSED = "fail_closed"
    LAST_KNOWN = "last_known"


class OnOverQuota(StrEnum):
    """What happens over the limit: refuse, or count, mark and allow."""

    DENY = "deny"
    ALLOW = "allow"


class Accuracy(StrEnum):
    """One consume per call, or units taken ahead of the calls."""

    EXACT = "exact"
    LEASE = "lease"


class Refund(StrEnum):
    """Which attempts give their units back as a credit."""

    NEVER = "never"
    UNREACHED = "unreached"
    FAILED = "failed"


class OnReplay(StrEnum):
    """What a request ID seen before gets: charged again, or refused."""

    CHARGE = "charge"
    REJECT = "reject"


class Enforcement(StrEnum):
    """Refuse what the quota refuses, or only count it."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class ErrorFormat(StrEnum):
    """The shape of a refusal's body."""

    PROBLEM = "problem"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class Action(StrEnum):
    """What an unmetered route does."""

    ALLOW = "allow"
    DENY = "deny"
