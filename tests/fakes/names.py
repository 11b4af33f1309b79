"""Lookups of names whose answers, and how late they come, are a test's to say."""

from __future__ import annotations

import asyncio
import socket

from sidecar.http1.resolving import IpAddress


def addresses(*hosts: str) -> tuple[IpAddress, ...]:
    """Return addresses as a lookup does."""
    return tuple(
        IpAddress(int(socket.AF_INET6), host, (0, 0))
        if ":" in host
        else IpAddress(int(socket.AF_INET), host)
        for host in hosts
    )


class FixedLookup:
    """Answers each lookup at once with what it was last given; counts them."""

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts
        self.count = 0

    async def __call__(self, host: str) -> tuple[IpAddress, ...]:
        self.count += 1
        return addresses(*self.hosts)


class HeldLookup:
    """Keeps each lookup waiting until the test answers it."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[tuple[IpAddress, ...]]] = []
        self._begun = asyncio.Condition()

    async def __call__(self, host: str) -> tuple[IpAddress, ...]:
        future = asyncio.get_running_loop().create_future()
        async with self._begun:
            self.asked.append(future)
            self._begun.notify_all()
        found: tuple[IpAddress, ...] = await future
        return found

    async def begun(self, count: int) -> None:
        """Wait until so many lookups have begun in all."""
        async with self._begun:
            await self._begun.wait_for(lambda: len(self.asked) >= count)

    def answer(self, *hosts: str) -> None:
        """Answer the newest lookup."""
        self.asked[-1].set_result(addresses(*hosts))

    def fail(self) -> None:
        """Fail the newest lookup as a name server does that cannot be reached."""
        problem = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        self.asked[-1].set_exception(problem)
