"""What the doctor tries as the sidecar would: a call of the product, and a user's token."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from sidecar.commands.diagnosis import Diagnosis, failure, not_checked, ok, warning
from sidecar.domain.credentials import BearerSource, IdentityFailure
from sidecar.domain.model import Identity
from sidecar.http1.errors import ConnectFailedError, PeerFailure
from sidecar.http1.fetch import FetchFailedError, fetch
from sidecar.http1.pool import Pool, PoolLimits
from sidecar.http1.proxies import usable_proxy_for
from sidecar.identity.jws import decode_segment, read_object
from sidecar.identity.keyset import FETCH_LIMITS, KeySet
from sidecar.identity.verifier import Verifier
from sidecar.settings.values import Origin
from sidecar.telemetry.observer import PRODUCT_FAILS, TOKENS_FAIL

_PATH: Final = "/health"  # contract: 200 as soon as the process is up
_FIELDS: Final = (("user-agent", "bb-sidecar-doctor"),)
_LARGEST_BODY: Final = 1 << 20
_SECONDS: Final = 5.0
_FIRST_FAULT: Final = 500

_BAD_TOKENS: Final = {
    IdentityFailure.EXPIRED: "take a new token",
    IdentityFailure.WRONG_ALGORITHM: "give a bb_at, which is RS256; a product's own session is not",
    IdentityFailure.BAD_SIGNATURE: "check --auth-url: is the token of that auth host?",
    IdentityFailure.MALFORMED: "give a file that holds the token alone",
}
"""What else to do about a token that is not accepted."""


async def try_product(upstream: Origin | None) -> Diagnosis:
    """Call the product once, over the same HTTP client as the sidecar does."""
    check = "upstream"
    if upstream is None:
        return not_checked(check, "the product was not called", "give --upstream")
    pool = Pool(upstream, PoolLimits(connections=1))
    try:
        async with asyncio.timeout(_SECONDS):
            answer = await fetch(pool, _PATH, fields=_FIELDS, limit=_LARGEST_BODY)
    except TimeoutError:
        kind = PeerFailure.FIRST_BYTE_TIMEOUT
        text = f"{upstream.url} gives no answer in {_SECONDS:g} s"
        return failure(check, text, PRODUCT_FAILS[kind])
    except (ConnectFailedError, FetchFailedError) as error:
        text = f"{upstream.url}: {error.kind.value}: {error}"
        return failure(check, text, PRODUCT_FAILS[error.kind])
    finally:
        await pool.close()
    text = f"{upstream.url} answers {answer.status} to GET {_PATH}"
    if answer.status >= _FIRST_FAULT:
        return warning(check, text, "see the product's log")
    return ok(check, text)


async def try_token(path: Path | None, auth: Origin, issuer: str, product: str | None) -> Diagnosis:
    """Verify a user's token as the sidecar would: form, key, `iss`, times, product."""
    check = "token"
    if path is None:
        text = f"no token was compared with the issuer {issuer}"
        return not_checked(check, text, "give --token-file with a user's bb_at")
    token = _read(path)
    if isinstance(token, Diagnosis):
        return token
    keys = KeySet(Pool(auth, FETCH_LIMITS, proxy=usable_proxy_for(auth.url)), time, _Unobserved())
    try:
        headers = [(b"authorization", b"Bearer " + token)]
        found = await Verifier(keys, issuer, time).identify(headers, [BearerSource()], wait=True)
    finally:
        await keys.close()
    if isinstance(found, IdentityFailure):
        hint = TOKENS_FAIL.get(found) or _BAD_TOKENS.get(found) or "take another token"
        return failure(check, f"refused: {_cause(found, token, issuer)}", hint)
    return _of_identity(found, product)


def _read(path: Path) -> bytes | Diagnosis:
    try:
        return path.read_bytes().strip()
    except OSError as error:
        text = f"{path}: cannot be read: {error.strerror}"
        return failure("token", text, "name a readable file with --token-file")


def _of_identity(identity: Identity, product: str | None) -> Diagnosis:
    if product is not None and product not in identity.apps:
        apps = ", ".join(sorted(identity.apps)) or "none"
        text = f"accepted, of org {identity.org_id}, whose `apps` lack {product!r}: {apps}"
        hint = "such users get 403 not_entitled: fix `product` in the policy, or the org's plan"
        return warning("token", text, hint)
    return ok("token", f"accepted, of org {identity.org_id}")


def _cause(failure_kind: IdentityFailure, token: bytes, issuer: str) -> str:
    """Name the kind; for a wrong issuer, both of them."""
    if failure_kind is not IdentityFailure.WRONG_ISSUER:
        return failure_kind.value
    claims = read_object(decode_segment(token.split(b".")[1]) or b"") or {}
    return f"{failure_kind.value}: `iss` is {claims.get('iss')!r:.200}, expected is {issuer!r}"


class _Unobserved:
    """The doctor's lines say how a fetch ended."""

    def keys_refreshed(self, outcome: str, keys: int, detail: str = "") -> None:
        """Count nothing."""
