"""What a call to the platform can end with, other than an answer: one class for each fix.

The text names the call without its query, the status and the platform's own `detail`. No
credential is in it, whatever the platform repeats.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.errors import SidecarError, TransientError
from sidecar.domain.quota import Quota


class PlatformError(SidecarError):
    """The platform did not do what was asked.

    `status` is the HTTP status, None where no answer came. `detail` is the platform's own text;
    a 422 names its fields there. `call` is method and path. `retry_after` is the wait that the
    platform asked for, in seconds. `unsent`: no byte of the request left.
    """

    def __init__(
        self,
        call: str,
        what: str,
        *,
        status: int | None = None,
        detail: str = "",
        retry_after: float | None = None,
        unsent: bool = False,
    ) -> None:
        super().__init__(f"{call}: {what}{f': {detail}' if detail else ''}")
        self.call = call
        self.status = status
        self.detail = detail
        self.retry_after = retry_after
        self.unsent = unsent


class CredentialRefusedError(PlatformError):
    """401: the key is wrong, revoked, or of the other kind."""


class ForbiddenError(PlatformError):
    """403: the key is good and lacks the scope, the product or the org."""


class NotFoundError(PlatformError):
    """404: no such org, webhook or path."""


class ConflictError(PlatformError):
    """409: the idempotency key belongs to another charge, or the webhook is disabled."""


class InvalidRequestError(PlatformError):
    """422, or another 4xx: the request does not fit; sent again unchanged it fails again."""


class UnreadableAnswerError(PlatformError):
    """The answer is not what the contract says: what was asked may have been done all the same."""


class UnavailableError(PlatformError, TransientError):
    """No connection, a connection that broke, or a 5xx: worth trying again later."""


class DeadlineError(PlatformError, TransientError):
    """No answer in time: what was asked may have been done all the same."""


class RateLimitedError(PlatformError, TransientError):
    """429: too many calls."""


class CredentialMissingError(SidecarError):
    """The client was made without the key that this call needs; nothing was sent."""


class ClientClosedError(SidecarError):
    """The client was used outside its `async with` block."""


class OverQuotaError(SidecarError):
    """The platform refused the units, and counted none. `quota` is what it answered."""

    def __init__(self, org_id: str, amount: int, quota: Quota) -> None:
        super().__init__(
            f"{org_id}: {amount} of {quota.resource} refused: {quota.used} of {quota.limit} used,"
            f" {quota.remaining} left until the {quota.period} ends"
        )
        self.org_id = org_id
        self.amount = amount
        self.quota = quota


_OF_STATUS: Final[dict[int, tuple[type[PlatformError], str]]] = {
    401: (CredentialRefusedError, "the {key} was refused (401)"),
    403: (ForbiddenError, "forbidden (403)"),
    404: (NotFoundError, "not found (404)"),
    409: (ConflictError, "conflict (409)"),
    429: (RateLimitedError, "too many calls (429)"),
}
_OF_CLASS: Final[dict[int, tuple[type[PlatformError], str]]] = {
    4: (InvalidRequestError, "the request was not taken ({status})"),
    5: (UnavailableError, "the platform failed ({status})"),
}
_UNEXPECTED: Final = (UnreadableAnswerError, "an unexpected status ({status})")


def error_of(
    call: str,
    status: int,
    detail: str,
    retry_after: float | None = None,
    *,
    key: str = "key",
) -> PlatformError:
    """Return the error that a status other than success means.

    `key` is the kind of key that was sent, such as `bbk_ key`.
    """
    of_class = _OF_CLASS.get(min(status // 100, 5), _UNEXPECTED)
    kind, what = _OF_STATUS.get(status, of_class)
    text = what.format(key=key, status=status)
    return kind(call, text, status=status, detail=detail, retry_after=retry_after)
