"""Answers as text, for golden files."""

from __future__ import annotations

import orjson

from sidecar.answers.writer import OwnAnswer
from sidecar.http1.phrases import phrase_of


def as_text(answer: OwnAnswer) -> str:
    """Write an answer as a person would read it."""
    head = [f"HTTP/1.1 {answer.status} {phrase_of(answer.status).decode()}"]
    head += [f"{name.decode()}: {value.decode()}" for name, value in answer.headers]
    body = orjson.dumps(orjson.loads(answer.body), option=orjson.OPT_INDENT_2).decode()
    return "\n".join(head) + "\n\n" + body + "\n"
