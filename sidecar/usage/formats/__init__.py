"""The formats of the vendors, each in a module that names the source of its fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.usage import UsageFormat, UsageRule
from sidecar.usage.answer_format import AnswerFormat, KeyPath
from sidecar.usage.formats.anthropic import ANTHROPIC
from sidecar.usage.formats.gemini import GEMINI
from sidecar.usage.formats.openai import OPENAI
from sidecar.usage.formats.openai_realtime import OPENAI_REALTIME

FORMATS: Final[Mapping[UsageFormat, AnswerFormat]] = {
    UsageFormat.OPENAI: OPENAI,
    UsageFormat.ANTHROPIC: ANTHROPIC,
    UsageFormat.GEMINI: GEMINI,
    UsageFormat.OPENAI_REALTIME: OPENAI_REALTIME,
}
"""Every format that is a name in the policy."""


def choices_of(rule: UsageRule) -> tuple[KeyPath, ...]:
    """Return where a request says how many answers it asks for; nowhere in a format of its own."""
    return FORMATS[rule.format].choices if isinstance(rule.format, UsageFormat) else ()
