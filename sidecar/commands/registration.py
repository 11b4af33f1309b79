"""The commands that ask the platform for a person, as argparse knows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sidecar.commands.arguments import count, json_object, typed, webhook_id
from sidecar.domain.model import Resource
from sidecar.settings.commands import AccessSettings, DoctorSettings
from sidecar.settings.fields import add_flags

Argument = tuple[str, dict[str, Any]]
"""A name, and what argparse knows of it."""

_SHOWN: Final = "(default: %(default)s)"


def _arg(name: str, text: str | None = None, **options: Any) -> Argument:  # noqa: ANN401 - argparse's own
    return name, {"help": text, **options}


def _limit(default: int) -> Argument:
    return _arg("--limit", _SHOWN, type=typed(count), default=default)


_FILTERS: Final = (
    _arg("--type", "record_type"), _arg("--product", "only records of this product"),
)  # fmt: skip
_GROUPS: Final = {
    "quota": "what an org may use, and has used",
    "records": "an org's workspace records",
    "webhooks": "the product's webhooks",
}
_COMMANDS: Final[tuple[tuple[str, str, str, tuple[Argument, ...]], ...]] = (
    ("quota status", "quota.status", "the quotas of the key's own org", ()),
    ("quota breakdown", "quota.breakdown", "the same by product", ()),
    ("quota consume", "quota.consume", "count units for an org; exit 1 when refused", (
        _arg("--org", "org_id", required=True),
        _arg("--resource", _SHOWN, choices=tuple(map(str, Resource)), default="ai_calls"),
        _arg("--amount", _SHOWN, type=typed(count), default=1),
        _arg("--product", "product_id, for the breakdown"),
        _arg("--key", "idempotency key (default: a fresh one)"),
    )),
    ("records publish", "workspace.publish", "publish a record, or change that of its source", (
        _arg("--org", "org_id", required=True),
        _arg("--product", "the product that it is of", required=True),
        _arg("--type", "record_type", required=True),
        _arg("--ref", "source_ref: what it is of in the product", required=True),
        _arg("--title", "title", required=True),
        _arg("--subtitle"),
        _arg("--summary", "summary_text"),
        _arg("--href", "app_href"),
        _arg("--status"),
        _arg("--meta", "JSON object", type=typed(json_object)),
    )),
    ("records list", "workspace.list_records", "the org's records",
     (_arg("--status"), *_FILTERS, _limit(100))),
    ("catalog", "workspace.catalog", "the products that an org can see", ()),
    ("search", "workspace.search", "search an org's workspace records",
     (_arg("q", "what to look for", metavar="WORDS"), *_FILTERS, _limit(20))),
    ("webhooks register", "webhooks.register", "register a URL; its secret is shown once", (
        _arg("url", metavar="URL"),
        _arg("--event", "event type, may be given again (default: those of run)", action="append"),
        _arg("--secret-file", "a new file for the secret, in place of showing it", type=Path),
    )),
    ("webhooks test", "webhooks.test", "have webhook.test sent",
     (_arg("id", "of the webhook", metavar="ID", type=typed(webhook_id)),)),
    ("webhooks deliveries", "webhooks.deliveries", "recent deliveries", (_limit(20),)),
    ("requests", "webhooks.requests", "recent calls made with a bbk_ key", (_limit(20),)),
    ("doctor", "doctor.examine", "try all that the sidecar needs: keys, platform, product, token",
     ()),
)  # fmt: skip
"""Of each command: its words, what it does (see `running`), its help, its arguments."""


def add_platform_commands(commands: Any) -> None:  # noqa: ANN401 - argparse gives it no public name
    """Add every command that asks the platform for a person."""
    groups = {"": commands}
    for words, act, text, arguments in _COMMANDS:
        group, _, name = words.rpartition(" ")
        if group not in groups:
            parent = commands.add_parser(group, help=_GROUPS[group])
            groups[group] = parent.add_subparsers(
                metavar="COMMAND", required=True, parser_class=type(parent)
            )
        parser = groups[group].add_parser(name, help=text)
        parser.add_argument("--json", action="store_true", help="JSON in place of a table")
        parser.set_defaults(handler="commands.running.run_act", act=act)
        add_flags(parser, AccessSettings, *((DoctorSettings,) if name == "doctor" else ()))
        for argument, options in arguments:
            parser.add_argument(argument, **options)
