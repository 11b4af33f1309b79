"""A sign of a TLS proxy that is not trusted: its `https` becomes `http` for the product."""

from __future__ import annotations

import logging
from typing import Final

from sidecar.domain.model import Headers

_log = logging.getLogger("sidecar.proxy")

REQUESTS_SEARCHED: Final = 1000
"""How many requests of peers that are not trusted are searched: a proxy shows in the first ones."""

_FROM_HTTPS: Final = (b"x-forwarded-proto", b"https")
_HINT: Final = "if it is your proxy, name it in --trusted-proxies: else products redirect for ever"


class UntrustedProxies:
    """Warns once of a peer whose X-Forwarded-Proto is replaced; `left`: requests to search."""

    def __init__(self) -> None:
        self.left = REQUESTS_SEARCHED

    def search(self, peer: bytes, fields: Headers) -> None:
        """Search one request of a peer that is not trusted."""
        if self.left:
            self.left -= 1
            if _FROM_HTTPS in fields:
                self.left = 0
                extra = {"peer": peer.decode("latin-1"), "hint": _HINT}
                _log.warning("forwarded_proto_replaced", extra=extra)
