"""What is allowed in the settings and likely a mistake: one log line each at the start."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sidecar.http1.proxies import UnusableProxyError, is_loopback, proxy_for
from sidecar.settings.misspelt import misspelt_variables
from sidecar.settings.run import Settings
from sidecar.settings.values import Origin

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


def warnings_about_variables(environ: Mapping[str, str], policy: bytes) -> Iterator[StartupWarning]:
    """Find the variables that look like settings and are none; `policy` is its file's content."""
    for name, nearest in misspelt_variables(environ, policy):
        hint = f"did you mean {nearest}?" if nearest else "see docs/settings.md"
        yield StartupWarning(f"the variable {name} is no setting, and is ignored", hint)


SHARED_IDS: Final = StartupWarning(
    "--trusted-proxies without --redis",
    "nothing is given back for the request IDs of trusted proxies: another replica may have used "
    "the key; count them in Redis (--redis)",
)
"""Said at the start, where request IDs are believed that no other replica can know of."""


def log_startup_warnings(settings: Settings, environ: Mapping[str, str], policy: bytes) -> None:
    """Log each of them."""
    believed = settings.listen.trusted_proxies
    if settings.upstream is None:  # `authz` believes this machine in any case
        believed = tuple(network for network in believed if not network.is_loopback)
    shared_ids = bool(believed) and settings.state.redis is None
    for about, hint in (
        *warnings_about(settings.platform.api, settings.platform.auth),
        *((SHARED_IDS,) if shared_ids else ()),
        *warnings_about_variables(environ, policy),
    ):
        log.warning("setting_doubtful", extra={"about": about, "hint": hint})
