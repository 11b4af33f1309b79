"""What an answer says that its call has cost, and the rule that makes units of it. No I/O.

The words are those of docs/usage.md: a *deposit* is consumed before the product runs, the *cost* is
known when the answer has ended, and what the cost is over the deposit is *owed*.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final


class UsageFormat(StrEnum):
    """Which API's usage an answer names."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    OPENAI_REALTIME = "openai_realtime"


class OnMissing(StrEnum):
    """What an answer costs that names no usage."""

    ESTIMATE = "estimate"
    HOLD = "hold"
    AMOUNT = "amount"


class OnOverrun(StrEnum):
    """What follows when the quota could not cover a cost any more."""

    BLOCK = "block"
    FORGIVE = "forgive"


class MissingCause(StrEnum):
    """Why an answer with a status of 2xx has no usage that can be read, or not all of it."""

    ABSENT = "absent"  # the answer is whole and names none
    CUT = "cut"  # it ended before it was whole: the product or the client left
    UNREADABLE = "unreadable"  # a coding, a charset or JSON that is not read
    TOO_LARGE = "too_large"  # it would have been behind more bytes than are looked at
    RESTART = "restart"  # the process ended before the answer did


class Settled(StrEnum):
    """What became of the difference between a cost and its deposit."""

    RETURNED = "returned"  # the deposit was more: a credit
    CREDITED = "credited"  # paid by a credit
    LEASED = "leased"  # paid by a lease
    COUNTED = "counted"  # consumed
    OVERRUN = "overrun"  # the quota did not cover it
    FORGIVEN = "forgiven"  # the same, and it has no consequence
    DROPPED = "dropped"  # given up: too old to be sent, or refused permanently


@dataclass(init=False, slots=True, unsafe_hash=True)
class Tokens:
    """Tokens of one answer, none counted twice: `input` is neither read from a cache nor kept."""

    input: Final[int]
    cached: Final[int]
    cache_write: Final[int]
    output: Final[int]

    def __init__(
        self,
        input: int = 0,  # noqa: A002 - the word of the rule's weights
        cached: int = 0,
        cache_write: int = 0,
        output: int = 0,
    ) -> None:
        self.input = input
        self.cached = cached
        self.cache_write = cache_write
        self.output = output


@dataclass(frozen=True, slots=True)
class JsonUsage:
    """The number at a JSON pointer of the answer is the usage. `keys`: the pointer, unescaped."""

    pointer: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeaderUsage:
    """The number in a field of the answer's head is the usage. `name` in lower case."""

    name: bytes


@dataclass(frozen=True, slots=True)
class HoldRule:
    """How much output a call may make at most: the first pointer that the body has.

    `default` tokens where it has none, and never more than `most`.
    """

    pointers: tuple[tuple[str, ...], ...]
    default: int
    most: int


@dataclass(frozen=True, slots=True)
class UsageRule:
    """How a route's answers are charged: `usage` of its meter.

    `models`: patterns of model names and what to multiply by, the first that fits. `weights` in the
    order of `Tokens`. `per`: weighted tokens for one unit.
    """

    format: UsageFormat | JsonUsage | HeaderUsage
    per: Decimal
    weights: tuple[Decimal, Decimal, Decimal, Decimal]
    models: tuple[tuple[str, Decimal], ...]
    hold: HoldRule | None
    missing: OnMissing
    request_usage: bool
    overrun: OnOverrun


@dataclass(init=False, slots=True, unsafe_hash=True)
class Estimate:
    """What is known of a call before its answer.

    `text_bytes`: bytes of text in its body, without what is not language (data: URLs, base64).
    `output`: the most tokens of output that it announces, None where it names none. `unasked`: it
    asks for a stream, and says nothing of its usage. `unread`: the body, where nothing was read of
    it yet: most answers say all that there is to know.
    """

    text_bytes: Final[int]
    output: Final[int | None]
    model: Final[str | None]
    unasked: Final[bool]
    unread: Final[bytes]

    def __init__(
        self,
        text_bytes: int,
        output: int | None,
        model: str | None,
        unasked: bool = False,
        unread: bytes = b"",
    ) -> None:
        self.text_bytes = text_bytes
        self.output = output
        self.model = model
        self.unasked = unasked
        self.unread = unread


@dataclass(init=False, slots=True, unsafe_hash=True)
class Usage:
    """What was read of one answer. With `missing`, `tokens` and `number` are a lower bound.

    `number` is that of a `JsonUsage` or `HeaderUsage`, `tokens` those of the other formats; None
    where nothing was named. `text_bytes`: bytes of text that went to the client; 0 for a short
    answer that names its usage, whose text is not counted. `units`: the whole cost, where the
    product itself has named it.
    """

    tokens: Final[Tokens | None]
    number: Final[Decimal | None]
    model: Final[str | None]
    text_bytes: Final[int]
    missing: Final[MissingCause | None]
    units: Final[int | None]

    def __init__(
        self,
        tokens: Tokens | None,
        number: Decimal | None,
        model: str | None,
        text_bytes: int,
        missing: MissingCause | None,
        units: int | None = None,
    ) -> None:
        self.tokens = tokens
        self.number = number
        self.model = model
        self.text_bytes = text_bytes
        self.missing = missing
        self.units = units


@dataclass(init=False, slots=True, unsafe_hash=True)
class Terms:
    """How a call will be settled, fixed before it runs.

    `hold`: units beyond the deposit that it may cost at most, 0 without a hold. `forgive`: what the
    quota does not cover has no consequence. `limited`: the caller's token names a limit, so that a
    bare "unlimited" is not believed. `shadow`: no byte of request or answer may change. `call`:
    the name of its hold and of what it owes, where the key of its charge names another call too.
    `meter`: that of its route in the policy it was decided under, which the engine made.
    """

    rule: Final[UsageRule]
    estimate: Final[Estimate]
    hold: Final[int]
    forgive: Final[bool]
    limited: Final[bool]
    shadow: Final[bool]
    call: Final[str]
    meter: Final[object]

    def __init__(
        self,
        rule: UsageRule,
        estimate: Estimate,
        hold: int,
        forgive: bool,
        limited: bool = False,
        shadow: bool = False,
        call: str = "",
        meter: object = None,
    ) -> None:
        self.rule = rule
        self.estimate = estimate
        self.hold = hold
        self.forgive = forgive
        self.limited = limited
        self.shadow = shadow
        self.call = call
        self.meter = meter

    def name(self, key: str) -> str:
        """Return the name of the call that is charged under `key`."""
        return self.call or key
