"""The event loops that tests run on; a test can turn the time of each forward.

The sidecar serves on uvloop. What depends on the loop itself (transports, TLS, tunnels, deadlines,
the server) is also tried on asyncio's own; what is only parsed or decided is not.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVarTuple

import uvloop

Ts = TypeVarTuple("Ts")
LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


class TurnedAsyncio(asyncio.SelectorEventLoop):
    """asyncio's loop, whose clock runs `ahead` of the real one by what a test has turned."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0

    def time(self) -> float:
        """Return the real time and what was turned."""
        return super().time() + self.ahead

    def advance(self, seconds: float) -> None:
        """Turn the clock forward: what is due by then runs in the next iteration."""
        self.ahead += seconds


class _Timer:
    """One timer of `TurnedUvloop`: due by the loop's own timer, or when time is turned."""

    def __init__(self, due: float, run: Callable[[], object]) -> None:
        self._due = due
        self._run = run
        self.real: asyncio.TimerHandle | None = None
        self.over = False

    def __lt__(self, other: _Timer) -> bool:
        return self._due < other._due

    def when(self) -> float:
        return self._due

    def cancel(self) -> None:
        self.over = True
        if self.real is not None:
            self.real.cancel()
            self.real = None

    def cancelled(self) -> bool:
        return self.over

    def fire(self) -> None:
        if not self.over:
            self.cancel()
            self._run()


class TurnedUvloop(uvloop.Loop):
    """uvloop, whose clock runs `ahead` of the real one by what a test has turned."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self._timers: list[_Timer] = []

    def time(self) -> float:
        """Return the real time and what was turned."""
        return float(super().time()) + self.ahead

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Any:
        """Call after `delay` seconds, of which some may be turned."""
        within = context or contextvars.copy_context()
        timer = _Timer(self.time() + delay, lambda: within.run(callback, *args))
        timer.real = super().call_later(delay, timer.fire)
        while self._timers and self._timers[0].over:
            heapq.heappop(self._timers)
        heapq.heappush(self._timers, timer)
        return timer

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> Any:
        """Call at that time of this clock."""
        return self.call_later(when - self.time(), callback, *args, context=context)

    def advance(self, seconds: float) -> None:
        """Turn the clock forward: what is due by then runs in the next iteration."""
        self.ahead += seconds
        now = self.time()
        while self._timers and self._timers[0].when() <= now:
            self.call_soon(heapq.heappop(self._timers).fire)


def turn(seconds: float) -> None:
    """Turn the clock of the running loop, which is one of the two above."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, TurnedAsyncio | TurnedUvloop)
    loop.advance(seconds)


SERVING: Final[LoopFactories] = {"uvloop": TurnedUvloop}
BOTH: Final[LoopFactories] = {"uvloop": TurnedUvloop, "asyncio": TurnedAsyncio}
