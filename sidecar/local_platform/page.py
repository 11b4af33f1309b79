"""The page at `/`: what happened, for a developer on this machine to see; text, no script."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from string import Template
from typing import Final

import orjson
from aiohttp import web

from sidecar.domain.instants import utc_text
from sidecar.domain.ports import Clock
from sidecar.domain.quota import UNLIMITED
from sidecar.local_platform.access import FROM_THIS_MACHINE
from sidecar.local_platform.control_wire import CountedConsume
from sidecar.local_platform.directory import Directory, Org
from sidecar.local_platform.dispatch import WebHandler
from sidecar.local_platform.faults import FaultBox
from sidecar.local_platform.quota_book import QuotaBook
from sidecar.local_platform.rejection import Rejection
from sidecar.local_platform.webhook_book import WebhookBook
from sidecar.local_platform.webhook_wire import Delivery
from sidecar.local_platform.wire import QuotaReply

_PAGE: Final = Template(files(__package__).joinpath("page.html").read_text("utf-8"))
_NEAR: Final = 0.8
_WHOLE: Final = 100
_KEY_SHOWN: Final = 16
_INSTANT: Final = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?Z", re.ASCII)
_STATES: Final = {"delivered": "good", "pending": "near", "failed": "full", "dropped": "full"}


_LATEST: Final = 25
_HEADERS: Final = {
    # No script runs here whatever an org is called, and no other page frames this one.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class PageView:
    """What the page shows as of `now`; lists are newest first.

    `consumes` holds with each whether it was counted; `faults` are in words, empty for none.
    """

    orgs: Sequence[tuple[Org, Mapping[str, QuotaReply]]]
    consumes: Sequence[tuple[CountedConsume, bool]]
    deliveries: Sequence[Delivery]
    now: str
    faults: str


def page_handler(
    directory: Directory, book: QuotaBook, webhooks: WebhookBook, faults: FaultBox, clock: Clock
) -> WebHandler:
    """Return what answers `GET /` with the page as things are now, 403 to a caller elsewhere."""

    def view() -> PageView:
        in_force = faults.current.model_dump(exclude_defaults=True, mode="json")
        return PageView(
            orgs=[(org, book.quotas(org.id)) for org in directory.orgs()],
            consumes=book.latest(_LATEST),
            deliveries=webhooks.latest(_LATEST),
            now=utc_text(clock.time(), "auto"),
            faults=orjson.dumps(in_force).decode() if in_force else "",
        )

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            FROM_THIS_MACHINE.admit(request)
        except Rejection as rejection:
            return web.Response(status=rejection.status, text=f"{rejection.detail}\n")
        return web.Response(text=render(view()), content_type="text/html", headers=_HEADERS)

    return handle


def render(view: PageView) -> str:
    """Return the page as HTML; everything that came from outside is escaped."""
    faults = f'<p class="faults">Faults in force: <code>{escape(view.faults)}</code></p>'
    orgs = "\n".join(_org(org, quotas) for org, quotas in view.orgs)
    return _PAGE.substitute(
        now=_when(view.now),
        faults=faults if view.faults else "",
        orgs=orgs or "<section><p>No org yet.</p></section>",
        consumes=_consumes(view.consumes),
        deliveries=_deliveries(view.deliveries),
    )


def _org(org: Org, quotas: Mapping[str, QuotaReply]) -> str:
    rows = [
        _cell(resource, "name")
        + f'<td class="bar">{_bar(resource, state)}</td>'
        + _cell(_amount(state), "n used")
        + _cell("" if state.limit <= 0 else f"{state.used * _WHOLE // state.limit} %", "n share")
        + f"<td>{_when(state.reset_at)}</td>"
        for resource, state in quotas.items()
    ]
    apps = escape(", ".join(org.apps)) or "no product"
    name = "" if org.name == org.id else f"{escape(org.name)} · "
    table = _table(("Resource", "", "#Used", "#", "Resets (UTC)"), rows, "No quota in this plan.")
    title = f"{escape(org.id)} <span>{name}plan {escape(org.plan)} · {apps}</span>"
    return f"<section><h2>{title}</h2>{table}</section>"


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
    return f"{state.used:,}" + ("" if state.limit == UNLIMITED else f" of {state.limit:,}")


def _when(at: str) -> str:
    """Write an instant to the second; the page says that it is UTC."""
    match = _INSTANT.fullmatch(at)
    return escape(at) if match is None else f"{match[1]} {match[2]}"


def _consumes(consumes: Sequence[tuple[CountedConsume, bool]]) -> str:
    heads = ("At (UTC)", "Org", "Product", "Resource", "#Amount", "Answer", "Idempotency key")
    rows = [
        f"<td>{_when(each.at)}</td>"
        + _cell(each.org_id)
        + _cell(each.product)
        + _cell(each.resource)
        + _cell(f"{each.amount:,}", "n")
        + (_cell("counted") if counted else _cell("refused", "full"))
        + f'<td title="{escape(each.key or "")}">{_short(each.key or "no key")}</td>'
        for each, counted in consumes
    ]
    return _table(heads, rows, "Nothing asked for yet.")


def _short(key: str) -> str:
    return escape(key if len(key) <= _KEY_SHOWN else f"{key[:_KEY_SHOWN]}…")


def _deliveries(deliveries: Sequence[Delivery]) -> str:
    heads = ("At (UTC)", "Event", "Org", "To", "State", "#Attempts", "Last answer")
    rows = [
        f"<td>{_when(each.updated_at)}</td>"
        + _cell(each.event)
        + _cell(each.org_id or "")
        + _cell(each.url, "long")
        + _cell(each.state, _STATES[each.state])
        + _cell(str(each.attempts), "n")
        + _cell(each.last_error or str(each.last_status or ""), "long")
        for each in deliveries
    ]
    return _table(heads, rows, "Nothing delivered yet.")


def _cell(text: str, kind: str = "") -> str:
    return f'<td class="{kind}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"


def _table(heads: Sequence[str], rows: Sequence[str], empty: str) -> str:
    """Make a table; `#` before a head marks a column of numbers."""
    if not rows:
        return f'<p class="dim">{escape(empty)}</p>'
    head = "".join(
        f'<th class="n">{name[1:]}</th>' if name.startswith("#") else f"<th>{name}</th>"
        for name in heads
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
