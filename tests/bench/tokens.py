"""How far the estimate of a text is from its tokens: bytes / 4 against a real tokenizer.

`python -m tests.bench.tokens` installs gpt-tokenizer, which brings its vocabularies, from npm into
`.tokenizer`, and prints the table of docs/usage.md. Each text is the body of a chat request, or an
answer to one; the estimate is the sidecar's own.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidecar.admission.cost import BYTES_PER_TOKEN
from sidecar.usage.estimate import Estimator

ROOT: Final = Path(__file__).parents[2]
TEXTS: Final = Path(__file__).parent / "texts"
PACKAGE: Final = "gpt-tokenizer@4.0.0"
ENCODINGS: Final = ("o200k_base", "cl100k_base")
"""Of GPT-4o and later, and of GPT-4."""

_COUNT: Final = """
const texts = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const plain = {disallowedSpecial: new Set()};
const counts = process.argv.slice(1).map(name => {
  const {encode} = require('gpt-tokenizer/encoding/' + name);
  return texts.map(text => encode(text, plain).length);
});
console.log(JSON.stringify(counts));
"""


def texts() -> Iterator[tuple[str, str]]:
    """Give kinds of text, each with a sample."""
    guide = (ROOT / "docs" / "usage.md").read_text().split("## What a call costs")[1]
    prose = " ".join(
        line.strip() for line in guide.splitlines() if line[:1].isalpha() and "`" not in line
    )
    yield "English prose", prose
    yield "German prose", (TEXTS / "german.txt").read_text()
    yield "Chinese prose", (TEXTS / "chinese.txt").read_text()
    yield "Python code", (ROOT / "sidecar" / "usage" / "estimate.py").read_text()
    schema = json.loads((ROOT / "policies" / "schema.json").read_text())
    yield "JSON, indented", json.dumps(schema, indent=2)[:20_000]
    yield "JSON, compact", json.dumps(schema, separators=(",", ":"))[:20_000]


def estimated(content: object) -> float:
    """Return the tokens that the sidecar takes a message for."""
    body = {"model": "", "messages": [{"role": "", "content": content}]}
    parts = Estimator(None).read(json.dumps(body, ensure_ascii=False).encode())
    return parts.text_bytes / BYTES_PER_TOKEN


def picture_request(prose: str) -> list[dict[str, object]]:
    """Return a message of text and a picture of 60 KB."""
    picture = base64.b64encode(random.Random(1).randbytes(60_000)).decode()  # noqa: S311
    url = {"url": f"data:image/png;base64,{picture}"}
    return [
        {"type": "text", "text": prose},
        {"type": "image_url", "image_url": url},
    ]


def counted(samples: list[str]) -> list[list[int]]:
    """Count the tokens of texts, by each encoding."""
    folder = ROOT / ".tokenizer"
    npm: list[str | Path] = [
        "npm", "install", "--prefix", folder, "--no-package-lock", "--no-audit", "--no-fund",
        "--ignore-scripts", "--silent", PACKAGE,
    ]  # fmt: skip
    subprocess.run(npm, check=True)
    node = subprocess.run(
        ["node", "-e", _COUNT, *ENCODINGS], cwd=folder, input=json.dumps(samples), text=True,
        check=True, capture_output=True,
    )  # fmt: skip
    counts: list[list[int]] = json.loads(node.stdout)
    return counts


def main() -> int:
    """Print the table."""
    rows = [(kind, sample, estimated(sample)) for kind, sample in texts()]
    prose = rows[0][1]
    rows.append(("English prose with a 60 KB picture", prose, estimated(picture_request(prose))))
    print(
        f"| text | bytes for a token, {ENCODINGS[0]} | estimate, {ENCODINGS[0]} | {ENCODINGS[1]} |"
    )
    print("|---|---|---|---|")
    for (kind, sample, estimate), *tokens in zip(
        rows, *counted([sample for _, sample, _ in rows]), strict=True
    ):
        each = len(sample.encode()) / tokens[0]
        errors = " | ".join(f"{(estimate / count - 1) * 100:+.0f} %" for count in tokens)
        print(f"| {kind} | {each:.1f} | {errors} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
