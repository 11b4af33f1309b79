from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain.errors import SidecarError, TransientError
from sidecar.events.meaning import PUBLISHED_EVENTS, WANTED_EVENTS
from sidecar.events.registrar import Registrar
from sidecar.settings.secret import Secret


class Failing:
    """A platform that fails as told before it registers; remembers what was asked for."""

    def __init__(self, *failures: SidecarError) -> None:
        self._failures = list(failures)
        self.asked: list[Sequence[str]] = []
        self.waits: list[float] = []
        self.heard: list[Secret] = []

    async def register(self, events: Sequence[str]) -> Secret:
        self.asked.append(events)
        if self._failures:
            raise self._failures.pop(0)
        return Secret("whsec_1")

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


async def registered(platform: Failing) -> Registrar:
    """Run a registrar to its end."""
    registrar = Registrar(platform.register, on_secret=platform.heard.append, sleep=platform.sleep)
    assert registrar.secret() is None
    await registrar.run()
    return registrar


async def test_the_secret_is_known_once_it_is_registered() -> None:
    """And the logs' redaction heard of it."""
    platform = Failing()
    assert (await registered(platform)).secret() == "whsec_1"
    assert platform.heard == [Secret("whsec_1")]


async def test_a_platform_that_is_down_is_asked_again() -> None:
    """Ever more seldom, for the same events."""
    platform = Failing(*[TransientError("down")] * 10)
    await registered(platform)
    assert platform.waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert set(platform.asked) == {WANTED_EVENTS}


async def test_a_platform_without_families_is_asked_for_what_is_published() -> None:
    """The next try names the events that the contract names."""
    platform = Failing(SidecarError("422: event_types"))
    await registered(platform)
    assert platform.asked == [WANTED_EVENTS, PUBLISHED_EVENTS]
