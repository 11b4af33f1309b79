"""Sends what the webhook book owes, over HTTP."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from contextlib import suppress
from typing import Final

import aiohttp

from sidecar.local_platform import choices
from sidecar.local_platform.webhook_book import Attempt, Due, WebhookBook

log = logging.getLogger(__name__)

_AT_ONCE: Final = 32
_POLL_SECONDS: Final = 0.25
"""How often the book is asked while it owes something: its clock may be one that tests turn."""


class Courier:
    """Makes the attempts that are due; each at least once, also over a restart."""

    def __init__(self, book: WebhookBook) -> None:
        self._book = book
        self._owing = asyncio.Event()
        self._round = asyncio.Lock()
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

    def wake(self) -> None:
        """Say that the book may owe something new."""
        self._owing.set()

    async def close(self) -> None:
        """Stop; what is under way is owed still, and sent after the next start."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self._session is not None:
            await self._session.close()

    async def deliver_due(self) -> int:
        """Make every attempt whose time has come; return how many were made."""
        made = 0
        async with self._round:
            while due := self._book.due(_AT_ONCE):
                attempts = await asyncio.gather(*(self._attempt(each) for each in due))
                for each, attempt in zip(due, attempts, strict=True):
                    self._book.settle(each.delivery_id, attempt)
                made += len(due)
        return made

    async def _deliver_on(self) -> None:
        while True:
            await self._owing.wait()
            self._owing.clear()
            try:
                await self.deliver_due()
                owing = self._book.owes()
            except sqlite3.Error:
                log.exception("the webhook book cannot be used; trying again")
                owing = True
            if owing:
                self._owing.set()
                await asyncio.sleep(_POLL_SECONDS)

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
        except (aiohttp.ClientError, ValueError, OSError) as error:
            return Attempt(0, f"{type(error).__name__}: {error}")
