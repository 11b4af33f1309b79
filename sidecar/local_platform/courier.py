"""Sends what the webhook book owes, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from contextlib import suppress
from typing import Final

import aiohttp

from sidecar.local_platform import choices
from sidecar.local_platform.webhook_book import Attempt, Due, WebhookBook

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_AT_ONCE_TO_ONE: Final = 4
"""Attempts under way to one endpoint: one that hangs keeps no other waiting."""

_LOOKED_AT: Final = 1000
_POLL_SECONDS: Final = 0.25
"""How often the book is asked while it owes something: its clock may be one that tests turn."""


class Courier:
    """Makes the attempts that are due; each at least once, also over a restart."""

    def __init__(self, book: WebhookBook) -> None:
        self._book = book
        self._owing = book.owing
        self._under_way: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to deliver in the background."""
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=choices.WEBHOOK_TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._owing.set()
        self._task = asyncio.create_task(self._deliver_on(), name="webhook courier")

    async def close(self) -> None:
        """Stop; what is under way is owed still, and sent after the next start."""
        tasks = [task for _, task in self._under_way.values()]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def deliver_due(self) -> int:
        """Make every attempt whose time has come, and see those under way end; return how many."""
        made = 0
        while True:
            made += self._begin_due()
            if not self._under_way:
                return made
            tasks = [task for _, task in self._under_way.values()]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

    def _begin_due(self) -> int:
        """Begin what is due and not under way, within the bounds; return how many."""
        begun = 0
        busy = Counter(endpoint_id for endpoint_id, _ in self._under_way.values())
        for due in self._book.due(_LOOKED_AT):
            if len(self._under_way) >= _AT_ONCE:
                break
            if due.delivery_id in self._under_way or busy[due.endpoint_id] >= _AT_ONCE_TO_ONE:
                continue
            busy[due.endpoint_id] += 1
            task = asyncio.create_task(self._deliver(due), name=f"delivery {due.delivery_id}")
            self._under_way[due.delivery_id] = due.endpoint_id, task
            begun += 1
        return begun

    async def _deliver(self, due: Due) -> None:
        try:
            self._book.settle(due.delivery_id, await self._attempt(due))
            self._owing.set()  # there is room for another
        except sqlite3.Error:
            log.exception("%s cannot be settled; it will be sent again", due.delivery_id)
        finally:
            del self._under_way[due.delivery_id]

    async def _deliver_on(self) -> None:
        while True:
            await self._owing.wait()
            self._owing.clear()
            try:
                self._begin_due()
                owing = self._book.owes()
            except sqlite3.Error:
                log.exception("the webhook book cannot be used; trying again")
                owing = True
            if owing:
                # No wait_for: in Python 3.11 it can swallow the cancellation that ends this task.
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._owing.wait()
                self._owing.set()

    async def _attempt(self, due: Due) -> Attempt:
        if self._session is None:
            raise RuntimeError("the courier was not started")
        try:
            async with self._session.post(
                due.url,
                data=due.payload,
                headers={
                    "Content-Type": "application/json",
                    "X-Bizbasics-Event": due.event,
                    "X-Bizbasics-Signature": due.signature,
                },
                allow_redirects=False,
            ) as answer:
                return Attempt(answer.status)
        except TimeoutError:
            return Attempt(0, f"no answer within {choices.WEBHOOK_TIMEOUT:g} s")
        except aiohttp.ClientConnectorError as error:
            return Attempt(0, f"cannot connect: {error.strerror or type(error).__name__}")
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return Attempt(0, f"{type(error).__name__}: {error}")
