"""The page at `/`: what happened, for a developer to see; pure text, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from sidecar.domain.model import UNLIMITED
from sidecar.local_platform.control_wire import CountedConsume
from sidecar.local_platform.directory import Org
from sidecar.local_platform.webhook_wire import Delivery
from sidecar.local_platform.wire import QuotaReply

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2330; --dim: #5b6472; --line: #dfe3ea; --back: #f5f6f8;
  --card: #fff; --track: #e6e9ef; --good: #2f7d4f; --near: #b26a00; --full: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ee; --dim: #9aa4b5; --line: #2b323d;
  --back: #101318; --card: #181c23; --track: #2b323d; --good: #58b583; --near: #e0a33e;
  --full: #f2796f } }
* { box-sizing: border-box }
body { font: 14px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem;
  color: var(--ink); background: var(--back) }
header { display: flex; flex-wrap: wrap; gap: 0 1rem; align-items: baseline }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1rem; margin: 0 0 .5rem }
.dim, h2 span { color: var(--dim); font-weight: 400 }
section { background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  padding: .9rem 1rem; margin-top: 1rem; overflow-x: auto }
p { margin: 0 } p.faults { border: 1px solid var(--near); border-radius: .5rem; padding: .5rem 1rem;
  margin-top: 1rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem 1rem .3rem 0; border-top: 1px solid var(--line);
  vertical-align: top; white-space: nowrap }
th { font-weight: 600; color: var(--dim); border-top: 0 }
td:last-child, th:last-child { padding-right: 0 }
.n { text-align: right; font-variant-numeric: tabular-nums }
.long { white-space: normal; overflow-wrap: anywhere; min-width: 12rem }
.name { width: 9rem } .bar { width: 45%; min-width: 6rem }
.used { width: 13rem } .share { width: 5rem }
.track { height: .6rem; margin-top: .45rem; border-radius: .3rem; background: var(--track);
  overflow: hidden }
.track i { display: block; height: 100%; background: currentcolor }
.good { color: var(--good) } .near { color: var(--near) } .full { color: var(--full) }
"""

_REFRESH: Final = 5
_NEAR: Final = 0.8
_WHOLE: Final = 100
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z", re.ASCII)
_COUNTED: Final = "<td>counted</td>"
_REFUSED: Final = '<td class="full">refused</td>'
_STATES: Final = {"delivered": "good", "pending": "near", "failed": "full", "dropped": "full"}


@dataclass(frozen=True, slots=True)
class PageView:
    """What the page shows as of `now`; lists are newest first.

    `consumes` tells of each whether it was counted; `faults` are in words, empty when none is set.
    """

    orgs: Sequence[tuple[Org, Mapping[str, QuotaReply]]]
    consumes: Sequence[tuple[CountedConsume, bool]]
    deliveries: Sequence[Delivery]
    now: str
    faults: str


def render(view: PageView) -> str:
    """Return the page as HTML; everything that came from outside is escaped."""
    faults = (
        f'<p class="faults">Faults in force: <code>{escape(view.faults)}</code></p>'
        if view.faults
        else ""
    )
    orgs = "".join(_org(org, quotas) for org, quotas in view.orgs)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Local platform</title>
<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="{_REFRESH}">
<style>{_STYLE}</style></head>
<body><header><h1>Local platform</h1>
<span class="dim">as of {_when(view.now)} UTC, again every {_REFRESH} s</span></header>{faults}
{orgs or "<section><p>No org yet.</p></section>"}
<section><h2>Latest consumes</h2>{_consumes(view.consumes)}</section>
<section><h2>Latest webhook deliveries</h2>{_deliveries(view.deliveries)}</section>
</body></html>
"""


def _org(org: Org, quotas: Mapping[str, QuotaReply]) -> str:
    rows = [
        f'<td class="name">{escape(resource)}</td><td class="bar">{_bar(resource, state)}</td>'
        f'<td class="n used">{_amount(state)}</td><td class="n share">{_share(state)}</td>'
        f"<td>{_when(state.reset_at)}</td>"
        for resource, state in quotas.items()
    ]
    apps = escape(", ".join(org.apps)) or "no product"
    name = "" if org.name == org.id else f"{escape(org.name)} · "
    heads = ("Resource", "", "#Used", "#", "Resets (UTC)")
    return (
        f"<section><h2>{escape(org.id)} <span>{name}plan {escape(org.plan)} · {apps}</span></h2>"
        + _table(heads, rows, "No quota: this org's plan names no resource.")
        + "</section>"
    )


def _bar(resource: str, state: QuotaReply) -> str:
    if state.limit == UNLIMITED:
        return '<span class="dim">unlimited</span>'
    full = max(state.limit, 1)
    value = full if state.limit == 0 else min(state.used, full)
    level = "full" if value == full else "near" if value >= full * _NEAR else "good"
    return (
        f'<div class="track" role="meter" aria-label="{escape(resource)}" aria-valuemin="0" '
        f'aria-valuemax="{full}" aria-valuenow="{value}">'
        f'<i class="{level}" style="width: {value / full * _WHOLE:.2f}%"></i></div>'
    )


def _amount(state: QuotaReply) -> str:
    return str(state.used) if state.limit == UNLIMITED else f"{state.used} of {state.limit}"


def _share(state: QuotaReply) -> str:
    return "" if state.limit <= 0 else f"{state.used * _WHOLE // state.limit} %"


def _when(at: str) -> str:
    """Write an instant as people read it: to the second, in UTC as all of the page."""
    match = _INSTANT.fullmatch(at)
    return escape(at) if match is None else f"{match[1]} {match[2]}"


def _consumes(consumes: Sequence[tuple[CountedConsume, bool]]) -> str:
    rows = [
        f"<td>{_when(each.at)}</td><td>{escape(each.org_id)}</td><td>{escape(each.product)}</td>"
        f'<td>{escape(each.resource)}</td><td class="n">{each.amount}</td>'
        f"{_COUNTED if counted else _REFUSED}"
        f'<td class="long">{escape(each.key or "no key")}</td>'
        for each, counted in consumes
    ]
    return _table(
        ("At (UTC)", "Org", "Product", "Resource", "#Amount", "Answer", "Idempotency key"),
        rows,
        "Nothing asked for yet.",
    )


def _deliveries(deliveries: Sequence[Delivery]) -> str:
    rows = [
        f"<td>{_when(each.updated_at)}</td><td>{escape(each.event)}</td>"
        f"<td>{escape(each.org_id or '')}</td>"
        f'<td class="long">{escape(each.url)}</td>'
        f'<td class="{_STATES[each.state]}">{escape(each.state)}</td>'
        f'<td class="n">{each.attempts}</td>'
        f'<td class="long">{escape(each.last_error or str(each.last_status or ""))}</td>'
        for each in deliveries
    ]
    return _table(
        ("At (UTC)", "Event", "Org", "To", "State", "#Attempts", "Last answer"),
        rows,
        "Nothing delivered yet.",
    )


def _table(heads: Sequence[str], rows: Sequence[str], empty: str) -> str:
    """Make a table; `#` before a head marks a column of numbers."""
    if not rows:
        return f'<p class="dim">{escape(empty)}</p>'
    head = "".join(
        f'<th class="n">{escape(name[1:])}</th>'
        if name.startswith("#")
        else f"<th>{escape(name)}</th>"
        for name in heads
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
