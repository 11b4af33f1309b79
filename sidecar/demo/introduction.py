"""What the demo prints when it has started: what is where, and lines to paste. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ORG: Final = "org_acme"
SPENT_ORG: Final = "org_globex"
SPENT_UNITS: Final = 3


@dataclass(frozen=True, slots=True)
class DemoPlace:
    """Where the parts of a running demo are.

    `url`: what calls are sent to. `metrics`: the URL of its metrics. `what` describes it. `left`:
    the line that shows what is left of a quota; empty where there is no admin side.
    """

    url: str
    metrics: str
    what: tuple[str, ...]
    platform: str
    left: str = ""
    names_costs: bool = False
    """Whether its product has a handler that names the cost of its calls."""


def introduction(at: DemoPlace, token: str, spent: str) -> Iterator[str]:
    """Give the lines."""
    body = '{"model":"small","messages":[{"role":"user","content":"hello"}]}'
    stream = '{"model":"small","stream":true,"messages":[{"role":"user","content":"hello"}]}'
    words = '{"messages":[{"role":"user","content":"What does a sidecar do for me"}]}'
    content = "-H 'content-type: application/json'"
    send = f"{at.url}/v1/chat/completions {content}"
    by_tokens = f"{at.url}/api/v1/chat/completions {content}"
    as_org = '-H "Cookie: bb_at=$TOKEN"'
    yield from at.what
    platform = at.platform
    yield f"local platform  {platform}  (API and auth host; /_control/consumes lists charges)"
    yield f"  in a browser  {platform}/  (orgs, quotas, the latest consumes and deliveries)"
    yield f"orgs            {ORG} has 25 AI calls a month, {SPENT_ORG} has spent its {SPENT_UNITS}"
    yield ""
    yield from _tokens(token, spent)
    yield "1. An allowed call, with RateLimit headers:"
    yield ""
    yield f"curl -si {send} {as_org} -d '{body}'"
    yield ""
    yield "2. A stream, event by event:"
    yield ""
    yield f"curl -sN {send} {as_org} -d '{stream}'"
    yield ""
    yield "3. A call over quota, refused before the product sees it:"
    yield ""
    yield f"curl -si {at.url}/api/v1/chat {as_org.replace('TOKEN', 'SPENT')} -d '{{}}'"
    yield ""
    yield "4. A call charged by its tokens: (7 in + 4 x 9 out) / 10 = 4.3 units. One is charged"
    yield "   before it runs, three after its answer, and 0.3 is carried to the org's next call:"
    yield ""
    yield f"curl -si {by_tokens} {as_org} -d '{words}'"
    yield ""
    if at.left:
        yield f"   What is left then: {at.left}"
        yield ""
    if at.names_costs:
        yield "5. A call whose handler names its cost, 6 units: one before it runs, five after:"
        yield ""
        yield f"curl -si -X POST '{at.url}/api/v1/report?pages=6' {as_org}"
        yield ""
    yield "Compare what the sidecar charged with what the platform counted. Both include the"
    yield f"{SPENT_UNITS} calls of {SPENT_ORG} that the demo has made:"
    yield ""
    yield f"curl -s {at.metrics} | grep -E '^bb_sidecar_(units|settled_units)_total'"
    yield f"curl -s {platform}/_control/consumes"
    yield ""
    yield "Ctrl-C ends all."


def _tokens(token: str, spent: str) -> Iterator[str]:
    yield "The callers' tokens, for the lines below:"
    yield ""
    yield f"export TOKEN={token}"
    yield f"export SPENT={spent}"
    yield ""
