"""The BizBasics platform: a typed client for all of its API, and the sidecar's own consume call.

Products import the client from here to publish records or to meter work that is not HTTP; nothing
of the data plane comes with it.
"""

from sidecar.key_source import Secret
from sidecar.platform.client import PlatformClient
from sidecar.platform.errors import (
    ClientClosedError,
    ConflictError,
    CredentialMissingError,
    CredentialRefusedError,
    DeadlineError,
    ForbiddenError,
    InvalidRequestError,
    NotFoundError,
    OverQuotaError,
    PlatformError,
    RateLimitedError,
    UnavailableError,
    UnreadableAnswerError,
)
from sidecar.platform.results import (
    ApiRequest,
    AuthHostState,
    CatalogProduct,
    Consumption,
    FoundRecord,
    NewRecord,
    PublishedRecord,
    QuotaBreakdown,
    QuotaStatus,
    RecordPage,
    SigningKey,
    VerifiedToken,
    Webhook,
    WebhookDelivery,
    WebhookTest,
    WorkspaceRecord,
)
from sidecar.platform.retrying import Backoff
from sidecar.platform.transport import Patience

__all__ = [
    "ApiRequest",
    "AuthHostState",
    "Backoff",
    "CatalogProduct",
    "ClientClosedError",
    "ConflictError",
    "Consumption",
    "CredentialMissingError",
    "CredentialRefusedError",
    "DeadlineError",
    "ForbiddenError",
    "FoundRecord",
    "InvalidRequestError",
    "NewRecord",
    "NotFoundError",
    "OverQuotaError",
    "Patience",
    "PlatformClient",
    "PlatformError",
    "PublishedRecord",
    "QuotaBreakdown",
    "QuotaStatus",
    "RateLimitedError",
    "RecordPage",
    "Secret",
    "SigningKey",
    "UnavailableError",
    "UnreadableAnswerError",
    "VerifiedToken",
    "Webhook",
    "WebhookDelivery",
    "WebhookTest",
    "WorkspaceRecord",
]
