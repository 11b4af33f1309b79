"""The page at `/`: what happened, for a developer to see; pure text, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from sidecar.local_platform.control_wire import CountedConsume
from sidecar.local_platform.directory import Org
from sidecar.local_platform.webhook_wire import Delivery
from sidecar.local_platform.wire import QuotaReply
from sidecar.model import UNLIMITED

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: #1d2330; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #dde1e8;
  vertical-align: top; overflow-wrap: anywhere }
th { font-weight: 600; color: #57606f } td.n { text-align: right }
progress { width: 12rem; height: .9rem; vertical-align: middle }
p.faults { background: #fff3d6; border: 1px solid #e6c36a; padding: .5rem .8rem }
@media (prefers-color-scheme: dark) {
  body { color: #e3e7ee; background: #14181f } th { color: #9aa4b5 }
  th, td { border-color: #2b323d } p.faults { background: #3a3119; border-color: #7a6420 } }
"""


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows; `faults` in words, empty when none is set."""

    orgs: Sequence[tuple[Org, Mapping[str, QuotaReply]]]
    consumes: Sequence[CountedConsume]
    deliveries: Sequence[Delivery]
    faults: str


def render(view: View) -> str:
    """Return the page as HTML; everything that came from outside is escaped."""
    faults = (
        f'<p class="faults">Faults in force: <code>{escape(view.faults)}</code></p>'
        if view.faults
        else ""
    )
    orgs = "".join(_org(org, quotas) for org, quotas in view.orgs)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Local platform</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>
<body><h1>Local platform</h1>{faults}
{orgs or "<p>No org yet.</p>"}
<h2>Latest consumes</h2>{_consumes(view.consumes)}
<h2>Latest webhook deliveries</h2>{_deliveries(view.deliveries)}
</body></html>
"""


def _org(org: Org, quotas: Mapping[str, QuotaReply]) -> str:
    rows = [
        f"<td>{escape(resource)}</td><td>{_bar(state)}</td>"
        f"<td class='n'>{_amount(state)}</td><td>{escape(state.reset_at)}</td>"
        for resource, state in quotas.items()
    ]
    apps = escape(", ".join(org.apps)) or "no product"
    return f"<h2>{escape(org.id)} · {escape(org.plan)} · {apps}</h2>" + _table(
        ("Resource", "Used", "", "Resets"), rows, "No quota: this org's plan names no resource."
    )


def _bar(state: QuotaReply) -> str:
    if state.limit == UNLIMITED:
        return "unlimited"
    full = max(state.limit, 1)
    value = full if state.limit == 0 else min(state.used, full)
    return f'<progress max="{full}" value="{value}">{value} of {full}</progress>'


def _amount(state: QuotaReply) -> str:
    return str(state.used) if state.limit == UNLIMITED else f"{state.used} of {state.limit}"


def _consumes(consumes: Sequence[CountedConsume]) -> str:
    rows = [
        f"<td>{escape(each.at)}</td><td>{escape(each.org_id)}</td><td>{escape(each.product)}</td>"
        f"<td>{escape(each.resource)}</td><td class='n'>{each.amount}</td>"
        f"<td>{escape(each.key or 'no key')}</td>"
        for each in reversed(consumes)
    ]
    return _table(
        ("At", "Org", "Product", "Resource", "Amount", "Key"), rows, "Nothing counted yet."
    )


def _deliveries(deliveries: Sequence[Delivery]) -> str:
    rows = [
        f"<td>{escape(each.updated_at)}</td><td>{escape(each.event)}</td><td>{escape(each.url)}</td>"
        f"<td>{escape(each.state)}</td><td class='n'>{each.attempts}</td>"
        f"<td>{escape(each.last_error or str(each.last_status or ''))}</td>"
        for each in deliveries
    ]
    return _table(
        ("At", "Event", "To", "State", "Attempts", "Last"), rows, "Nothing delivered yet."
    )


def _table(heads: Sequence[str], rows: Sequence[str], empty: str) -> str:
    if not rows:
        return f"<p>{escape(empty)}</p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
