"""What the demo prints when it has started: what is where, and lines to paste. Pure."""

from __future__ import annotations

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


_START: Final = """\
{what}
local platform  {platform}  (API and auth host; /_control/consumes lists charges)
  in a browser  {platform}/  (orgs, quotas, the latest consumes and deliveries)
orgs            {ORG} has 25 AI calls a month, {SPENT_ORG} has spent its {SPENT_UNITS}

The callers' tokens, for the lines below:

export TOKEN={token}
export SPENT={spent}

1. An allowed call, with RateLimit headers:

curl -si {send} {as_org} -d '{{"model":"small",{hello}}}'

2. A stream, event by event:

curl -sN {send} {as_org} -d '{{"model":"small","stream":true,{hello}}}'

3. A call over quota, refused before the product sees it:

curl -si {url}/api/v1/chat -H "Cookie: bb_at=$SPENT" -d '{{}}'

4. A call charged by its tokens: (7 in + 4 x 9 out) / 10 = 4.3 units. One is charged
   before it runs, three after its answer, and 0.3 is carried to the org's next call:

curl -si {by_tokens} {as_org} -d '{{{question}}}'
"""
_LEFT: Final = """
   What is left then: {left}
"""
_NAMED_COST: Final = """
5. A call whose handler names its cost, 6 units: one before it runs, five after:

curl -si -X POST '{url}/api/v1/report?pages=6' {as_org}
"""
_END: Final = """
Compare what the sidecar charged with what the platform counted. Both include the
{SPENT_UNITS} calls of {SPENT_ORG} that the demo has made:

curl -s {metrics} | grep -E '^bb_sidecar_(units|settled_units)_total'
curl -s {platform}/_control/consumes

Ctrl-C ends all.
"""


def introduction(at: DemoPlace, token: str, spent: str) -> str:
    """Return the text."""
    content = "-H 'content-type: application/json'"
    text = _START + _LEFT * bool(at.left) + _NAMED_COST * at.names_costs + _END
    return text.format(
        what="\n".join(at.what), platform=at.platform, url=at.url, metrics=at.metrics,
        left=at.left, token=token, spent=spent,
        ORG=ORG, SPENT_ORG=SPENT_ORG, SPENT_UNITS=SPENT_UNITS,
        send=f"{at.url}/v1/chat/completions {content}",
        by_tokens=f"{at.url}/api/v1/chat/completions {content}",
        as_org='-H "Cookie: bb_at=$TOKEN"',
        hello='"messages":[{"role":"user","content":"hello"}]',
        question='"messages":[{"role":"user","content":"What does a sidecar do for me"}]',
    )  # fmt: skip
