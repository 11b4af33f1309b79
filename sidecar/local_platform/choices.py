"""Every answer of ours to what the platform's contract leaves open, so that one edit changes it.

Facts that the contract does publish are here only where code needs the number; each line says
which it is. Seconds unless named otherwise.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

# Consume
IDEMPOTENCY_SECONDS: Final = 24 * 3600  # [ours] how long a key answers the same body again
CONFLICTING_KEY: Final = HTTPStatus.CONFLICT  # [ours] a key sent again for another charge
UNKNOWN_ORG: Final = HTTPStatus.NOT_FOUND  # [ours]
NOT_ENTITLED: Final = HTTPStatus.FORBIDDEN  # [ours] the org does not have the key's product
FOREIGN_PRODUCT: Final = HTTPStatus.FORBIDDEN  # [ours] product_id is not the key's own product
LIMIT_WHERE_NONE_IS_SET: Final = 0  # [ours] a resource that the org's plan does not name
PERIOD: Final = "month"  # [api] for the example's resource; [ours] for every other
LARGEST_AMOUNT: Final = 2**53 - 1  # [ours] what every JSON reader holds exactly

# The store being down
STORE_DOWN_ELSEWHERE: Final = HTTPStatus.SERVICE_UNAVAILABLE  # [ours] status and breakdown say so

# Tokens
TOKEN_SECONDS: Final = 20 * 60  # [sso] "about 20 minutes"
WITHDRAW_AFTER_SECONDS: Final = 3600  # [ours] a replaced key is published for this long
DEFAULT_ROLE: Final = "org_owner"  # [sso] the example's role
DEFAULT_USER: Final = "user_dev"  # [ours]
SESSION_COOKIES: Final = ("bb_at", "bb_session")  # [ours] both hold the access token here

# 401
INTERNAL_KEY_CHALLENGE: Final = 'InternalKey realm="X-Internal-Key"'  # [ours] no scheme is known

# Webhooks
WEBHOOK_ATTEMPTS: Final = 3  # [webhooks] "up to 3 attempts", the first one included [ours]
WEBHOOK_WAITS: Final = (5.0, 10.0, 15.0)  # [webhooks] after the first, second, third attempt
WEBHOOK_TIMEOUT: Final = 10.0  # [ours]
WEBHOOK_FAILURES_TO_DISABLE: Final = 10  # [webhooks]; counted in deliveries given up [ours]

# Lists
LIST_LIMIT: Final = 50  # [ours] when no limit is asked for
LIST_LIMIT_MAX: Final = 200  # [ours]
REQUESTS_KEPT: Final = 1000  # [ours] recent requests remembered
REFUSALS_KEPT: Final = 1000  # [ours] recent consumes over the limit, for the developer's page
