"""What an answer has cost, by the command and by the examples of docs/usage.md."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from sidecar.commands.explain import explain_call
from sidecar.domain.errors import UserError

ROOT = Path(__file__).parents[3]
POLICY = """
version: 1
product: acme-notes
identity: [{bearer: true}]
routes:
  - name: chat
    match: {path: /chat, methods: [POST]}
    meter:
      usage:
        format: %s
        per: 1000
        weights: {input: 1, cached: 0.1, cache_write: 1.25, output: 4}
        hold: {json: /max_tokens, default: 100, max: 2000}
  - {name: plain, match: {path: /plain}, meter: {}}
unmatched: allow
"""
OPENAI = (
    b'{"model":"small","usage":{"prompt_tokens":1200,"completion_tokens":300,'
    b'"prompt_tokens_details":{"cached_tokens":1000}}}'
)


def explained(folder: Path, answer: bytes, *, form: str = "openai", path: str = "/chat") -> str:
    """Explain a call with this answer."""
    policy = folder / "policy.yaml"
    policy.write_text(POLICY % form)
    return explain_call(
        policy, method="POST", target=path, headers=[], body=b'{"max_tokens":500}', answer=answer
    )


def test_an_answer_is_priced(tmp_path: Path) -> None:
    """Its tokens, what is owed beyond the deposit, and what is left of a unit."""
    text = explained(tmp_path, OPENAI)
    assert "answer: 1.5 units; deposit: 1" in text
    assert "tokens: 200 input, 1000 cached, 300 output" in text
    assert "owed: 0, carried to the next call: 0.5" in text
    assert "held while it runs: 1" in text


def test_a_stream_is_priced_as_it_came(tmp_path: Path) -> None:
    """From what `curl -i` has printed, head and events."""
    head = b"HTTP/2 200 \r\ncontent-type: text/event-stream\r\n\r\n"
    event = b'data: {"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":500}}\n\n'
    text = explained(tmp_path, head + event + b"data: [DONE]\n\n")
    assert "answer: 3 units" in text
    assert "owed: 2, carried to the next call: 0" in text


def test_an_answer_without_usage_says_why(tmp_path: Path) -> None:
    """And is priced by its text."""
    text = explained(tmp_path, b'{"choices":[{"message":{"content":"hello"}}]}')
    assert "usage is missing (absent)" in text


def test_a_refusal_costs_its_deposit(tmp_path: Path) -> None:
    """Whatever it names."""
    text = explained(tmp_path, b"HTTP/1.1 429 Too Many\r\n\r\n" + OPENAI)
    assert "answer: 1 unit; deposit: 1" in text


def test_a_route_without_usage_prices_no_answer(tmp_path: Path) -> None:
    """The fix is named."""
    with pytest.raises(UserError, match=r"of the route plain, .* give its meter `usage`"):
        explained(tmp_path, OPENAI, path="/plain")


def test_a_head_that_is_none_is_named(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(UserError, match=r"--answer: the head is not HTTP/1\.1"):
        explained(tmp_path, b"HTTP/1.1 abc\r\n\r\n{}")


@pytest.mark.parametrize(
    ("form", "title"), [("openai", "OpenAI"), ("anthropic", "Anthropic"), ("gemini", "Gemini")]
)
def test_the_examples_of_the_document_are_right(tmp_path: Path, form: str, title: str) -> None:
    """Each answer costs what its paragraph says."""
    text = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    section = text.partition(f"### {title}\n")[2].partition("\n##")[0]
    answer = section.partition("```json\n")[2].partition("```")[0]
    said = re.search(r"= ([0-9.]+)\s+units", section)
    assert said is not None
    assert json.loads(answer)
    assert f"answer: {said[1]} units" in explained(tmp_path, answer.encode(), form=form)
