"""What all parts of one sidecar are built with."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass

from sidecar.domain.credentials import CookieSource
from sidecar.domain.ports import Clock
from sidecar.domain.share import Share
from sidecar.identity.session_secret import secret_problem
from sidecar.policy.compiled import Policy
from sidecar.settings.embedded import EmbeddedSettings
from sidecar.settings.run import Settings
from sidecar.settings.secret import Secret
from sidecar.telemetry.observer import Observer
from sidecar.telemetry.redaction import Redactor

log = logging.getLogger("sidecar.app")


@dataclass(frozen=True, slots=True)
class Context:
    """What the parts share. `owned` ends them in the reverse order of their start.

    `clock` is for tokens, quotas and their books; timeouts use the event loop's. `share` is this
    process's part of the limits that are set for all workers together, and names its journal.
    `embedded`: in a product's process, which does not know how many others of its kind there are.
    """

    settings: Settings | EmbeddedSettings
    clock: Clock
    observer: Observer
    redactor: Redactor
    share: Share
    worker: bool
    owned: contextlib.AsyncExitStack
    embedded: bool = False

    def hide(self, secret: Secret) -> None:
        """Mask a credential in every log line from now on."""
        self.redactor.add(secret.reveal())

    def hide_given(self) -> None:
        """Mask the credentials that the settings hold."""
        for given in (self.settings.platform.key, self.settings.state.redis):
            if isinstance(given, Secret):
                self.hide(given)

    def hide_of_policy(self, policy: Policy) -> None:
        """Mask the secrets of a policy before it is in force, and report those that are weak."""
        for source in policy.identity:
            if isinstance(source, CookieSource) and source.secret is not None:
                self.redactor.add(source.secret.decode("utf-8", "surrogateescape"))
                problem = secret_problem(source.secret)
                if problem is not None:
                    extra = {"source": source.name, "problem": problem}
                    log.warning("session_secret_weak", extra=extra)
