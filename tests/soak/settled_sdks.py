"""The SDKs of OpenAI, Anthropic and Google as clients of a settled run, with their own retries.

Each attempt of an SDK is an execution of its own where it reaches the product, and is charged as
one. So each is planned and noted by itself, by a hook of the SDK's transport. Outside EXACT calls
are given up after a random number of events, cancelled or timed out, and their connections lead
through a relay that cuts them at random bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import anthropic
import httpx
import openai
import orjson
from google import genai
from google.genai.client import AsyncClient
from google.genai.types import GenerateContentConfig, HttpOptions, HttpRetryOptions

from tests.soak.settled_books import Sent
from tests.soak.settled_load import EXACT, KILLED, ROUGH, SILENT_SECONDS, Book
from tests.soak.settled_plans import Plan, Shape
from tests.wire.fault_proxy import CLEAN, Ending, FaultProxy, Way, Wire

MOST_TOKENS: Final = 120
_CUT_WITHIN: Final = 20_000
"""Bytes: some ten answers, on connections that carry one after the other."""

_ERROR: Final = 400
_RAISE: Final = frozenset({"anthropic", "google", "httpx", "httpx2", "json", "openai"})
"""Packages whose errors say what was done to a call; any other is a fault of this program."""


@dataclass(slots=True)
class Ask:
    """One call of an SDK; `attempts` in the order in which its client sent them."""

    org: str
    plan: Plan
    text: str
    fields: dict[str, str]
    timeout: float
    attempts: list[Sent] = field(default_factory=list)
    response: Any = None


@dataclass(slots=True)
class Vendors:
    """The clients of one org."""

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    gemini: AsyncClient

    def texts(self, ask: Ask) -> AsyncGenerator[str]:
        """Make a call; give the text of each event as it comes, or that of the whole answer."""
        match ask.plan.shape:
            case Shape.OPENAI:
                return self._chat(ask)
            case Shape.RESPONSES:
                return self._responses(ask)
            case Shape.ANTHROPIC:
                return self._messages(ask)
            case Shape.GEMINI:
                return self._generate(ask)

    async def _chat(self, ask: Ask) -> AsyncGenerator[str]:
        create = self.openai.chat.completions.create
        words: dict[str, Any] = {
            "model": "m",
            "messages": [{"role": "user", "content": ask.text}],
            "extra_headers": ask.fields,
            "timeout": ask.timeout,
            random.choice(("max_tokens", "max_completion_tokens")): MOST_TOKENS,
        }
        if not ask.plan.stream:
            answer = await create(**words)
            yield answer.choices[0].message.content or ""
            return
        if random.random() < 0.5:
            words["stream_options"] = {"include_usage": True}
        async with await create(stream=True, **words) as stream:
            async for chunk in stream:
                yield "".join(choice.delta.content or "" for choice in chunk.choices)

    async def _responses(self, ask: Ask) -> AsyncGenerator[str]:
        create = self.openai.responses.create
        words: dict[str, Any] = {
            "model": "m",
            "input": ask.text,
            "max_output_tokens": MOST_TOKENS,
            "extra_headers": ask.fields,
            "timeout": ask.timeout,
        }
        if not ask.plan.stream:
            yield (await create(**words)).output_text
            return
        async with await create(stream=True, **words) as stream:
            async for event in stream:
                yield event.delta if event.type == "response.output_text.delta" else ""

    async def _messages(self, ask: Ask) -> AsyncGenerator[str]:
        words: dict[str, Any] = {
            "model": "m",
            "max_tokens": MOST_TOKENS,
            "messages": [{"role": "user", "content": ask.text}],
            "extra_headers": ask.fields,
            "timeout": ask.timeout,
        }
        if not ask.plan.stream:
            answer = await self.anthropic.messages.create(**words)
            yield "".join(getattr(block, "text", "") for block in answer.content)
            return
        async with await self.anthropic.messages.create(stream=True, **words) as stream:
            async for event in stream:
                yield getattr(getattr(event, "delta", None), "text", "")

    async def _generate(self, ask: Ask) -> AsyncGenerator[str]:
        options = HttpOptions(headers=ask.fields, timeout=int(ask.timeout * 1000))
        words: dict[str, Any] = {
            "model": "m",
            "contents": ask.text,
            "config": GenerateContentConfig(max_output_tokens=MOST_TOKENS, http_options=options),
        }
        models = self.gemini.models
        if not ask.plan.stream:
            yield (await models.generate_content(**words)).text or ""
            return
        parts: Any = await models.generate_content_stream(**words)
        async with aclosing(parts):
            async for part in parts:
                yield part.text or ""


class SdkClients:
    """Call with the vendors' SDKs, many at a time."""

    at_once = 48

    def __init__(self, book: Book, token: Callable[[str], str]) -> None:
        self._book = book
        self._token = token
        self._calls: dict[str, Ask] = {}
        self._serial = itertools.count()
        self._clean = FaultProxy(keep=False)
        self._cutting = FaultProxy(keep=False)
        self._cutting.wire = _cut
        self._vendors: dict[str, Vendors] = {}
        self._owned = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for relay in (self._clean, self._cutting):
            await self._owned.enter_async_context(relay)
        exact, cut = self._clean.url, self._cutting.url
        for kind, url in ((EXACT, exact), (ROUGH, cut), (KILLED, cut)):
            self._vendors[kind] = await self._vendors_of(url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self._owned.aclose()

    def turn_to(self, url: str) -> None:
        """Let the relays lead to a sidecar at this URL."""
        self._clean.target = self._cutting.target = int(url.rpartition(":")[2])

    async def call(self, kind: str) -> None:
        """Make one call, which the SDK may make again; it may be given up."""
        org = self._book.payer(kind)
        name = str(next(self._serial))
        fields = {"x-call": name, "Authorization": f"Bearer {self._token(org)}"}
        if random.random() < 0.3:
            fields["x-request-id"] = f"app-{name}"  # the same for each attempt
        text = ("ask " * random.randrange(1, 60)).rstrip()
        ask = self._calls[name] = Ask(org, self._book.plan(org), text, fields, SILENT_SECONDS)
        events, seconds = 1 << 20, 3 * SILENT_SECONDS
        if org != EXACT and (chance := random.random()) < 0.3:
            if chance < 0.05:
                ask.timeout = random.uniform(0.02, 0.3)
            elif chance < 0.1 or not ask.plan.stream:
                seconds = random.random() * 0.2
            else:
                events = random.randrange(8)
        whole = False
        try:
            async with asyncio.timeout(seconds), aclosing(self._vendors[kind].texts(ask)) as texts:
                async for part in texts:
                    ask.attempts[-1].got += len(part)
                    events -= 1
                    if events < 0:
                        break
                else:
                    whole = True
                    self._check(ask.attempts[-1])
        except Exception as error:
            origin = type(error).__module__.partition(".")[0]
            if origin not in _RAISE and not isinstance(error, TimeoutError):
                raise
            self._book.found.errors[type(error).__name__] += 1
        finally:
            self._ended(ask, whole=whole)
            del self._calls[name]

    async def _sent(self, request: Any) -> None:
        """Plan and note an attempt, before its request is sent."""
        ask = self._calls[request.headers["x-call"]]
        plan = ask.plan
        if ask.attempts:
            self._ended(ask, whole=False)
            plan = self._book.again(plan)
        asked = _bytes_of_text(orjson.loads(request.content))
        ask.attempts.append(self._book.enter(ask.org, plan, asked))
        request.headers["x-plan"] = orjson.dumps(plan).decode()

    async def _answered(self, response: Any) -> None:
        ask = self._calls[response.request.headers["x-call"]]
        ask.response = response
        ask.attempts[-1].status = response.status_code

    def _check(self, attempt: Sent) -> None:
        """See that a whole answer came with all of its text."""
        if attempt.got != attempt.plan.shown:
            self._book.found.wrong.append(f"{attempt.plan} came with {attempt.got} bytes of text")

    def _ended(self, ask: Ask, *, whole: bool) -> None:
        """Note what the client has seen of its last attempt; `whole`: all, and understood it."""
        if not ask.attempts:
            return
        attempt = ask.attempts[-1]
        with contextlib.suppress(RuntimeError):  # StreamError of httpx: the body was not read
            whole = whole or bool(ask.response is not None and ask.response.content)
        ask.response = None
        attempt.left = not whole and attempt.status < _ERROR
        self._book.ended(ask.org, attempt, "" if attempt.status else "broken")

    async def _vendors_of(self, url: str) -> Vendors:
        hooks: dict[str, list[Callable[..., Any]]] = {
            "request": [self._sent],
            "response": [self._answered],
        }
        enter = self._owned.enter_async_context
        transport = await enter(httpx.AsyncClient(event_hooks=hooks))
        options = HttpOptions(
            base_url=url,
            httpx_async_client=transport,
            retry_options=HttpRetryOptions(attempts=3, initial_delay=0.2, jitter=0.2),
        )
        return Vendors(
            await enter(
                openai.AsyncOpenAI(
                    base_url=f"{url}/v1",
                    api_key="of each call",
                    http_client=openai.DefaultAsyncHttpxClient(event_hooks=hooks, verify=False),
                )
            ),
            await enter(
                anthropic.AsyncAnthropic(
                    base_url=url,
                    auth_token="of each call",
                    api_key=None,
                    http_client=anthropic.DefaultAsyncHttpxClient(event_hooks=hooks, verify=False),
                )
            ),
            genai.Client(api_key="none", http_options=options).aio,
        )


def _cut(_: int) -> Wire:
    """Cut every other connection at a random byte, of what goes there or of what comes back."""
    if random.random() < 0.5:
        return CLEAN
    way = Way(
        stops_after=random.randrange(_CUT_WITHIN), ending=random.choice((Ending.FIN, Ending.RST))
    )
    return Wire(there=way) if random.random() < 0.3 else Wire(back=way)


def _bytes_of_text(document: object) -> int:
    """Count the strings of a request, without their keys."""
    if isinstance(document, str):
        return len(document.encode())
    if isinstance(document, dict):
        return sum(map(_bytes_of_text, document.values()))
    return sum(map(_bytes_of_text, document)) if isinstance(document, list) else 0
