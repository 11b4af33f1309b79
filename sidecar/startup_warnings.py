"""What is allowed in the settings and likely a mistake: one log line each at the start."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import NamedTuple

from sidecar.outbound import UnusableProxyError, is_loopback, proxy_for
from sidecar.setting_values import Origin

log = logging.getLogger("sidecar.settings")


class StartupWarning(NamedTuple):
    """What it is about, and the fix."""

    about: str
    hint: str


def warnings_about(platform: Origin, auth: Origin) -> Iterator[StartupWarning]:
    """Find what is wrong with how the platform and its auth host are called."""
    for flag, origin, risk in (
        ("--platform-url", platform, "the bbas_ key is sent in clear text"),
        ("--auth-url", auth, "keys that verify tokens could be exchanged on the way"),
    ):
        if not origin.tls and not is_loopback(origin.host):
            hint = f"{risk}: give an https URL as {flag}"
            yield StartupWarning(f"{origin.url} is not encrypted", hint)
    unusable: set[StartupWarning] = set()
    for origin in (platform, auth):
        try:
            proxy_for(origin.url)
        except UnusableProxyError as error:
            unusable.add(StartupWarning(error.about, error.hint))
    yield from sorted(unusable)


def log_startup_warnings(platform: Origin, auth: Origin) -> None:
    """Log each of them."""
    for about, hint in warnings_about(platform, auth):
        log.warning("setting_doubtful", extra={"about": about, "hint": hint})
