"""The commands that ask the platform for a person, as argparse knows them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from sidecar.commands.arguments import count, json_object, typed, webhook_id
from sidecar.domain.model import Resource
from sidecar.settings.commands import AccessSettings, DoctorSettings
from sidecar.settings.fields import add_flags

CommandParser = argparse.ArgumentParser
Commands = Any
"""What `add_subparsers` returns: argparse gives it no public name."""

_RESOURCES: Final = tuple(resource.value for resource in Resource)


def add_platform_commands(commands: Commands) -> None:
    """Add every command that asks the platform for a person."""
    _add_quota(_group(commands, "quota", "what an org may use, and has used"))
    _add_records(_group(commands, "records", "an org's workspace records"))
    _command(commands, "catalog", "the products that an org can see", "workspace.catalog")
    parser = _command(commands, "search", "search an org's workspace records", "workspace.search")
    parser.add_argument("q", metavar="WORDS", help="what to look for")
    _add_filters(parser, limit=20)
    _add_webhooks(_group(commands, "webhooks", "the product's webhooks"))
    parser = _command(
        commands, "requests", "recent calls made with a bbk_ key", "webhooks.requests"
    )
    _add_limit(parser, 20)
    parser = _command(
        commands,
        "doctor",
        "try all that the sidecar needs: keys, platform, product, token",
        "doctor.examine",
    )
    add_flags(parser, DoctorSettings)


def _add_quota(commands: Commands) -> None:
    _command(commands, "status", "the quotas of the key's own org", "quota.status")
    _command(commands, "breakdown", "the same by product", "quota.breakdown")
    parser = _command(
        commands, "consume", "count units for an org; exit 1 when refused", "quota.consume"
    )
    parser.add_argument("--org", required=True, help="org_id")
    parser.add_argument(
        "--resource", choices=_RESOURCES, default="ai_calls", help="(default: %(default)s)"
    )
    parser.add_argument("--amount", type=typed(count), default=1, help="(default: %(default)s)")
    parser.add_argument("--product", help="product_id, for the breakdown")
    parser.add_argument("--key", help="idempotency key (default: a fresh one)")


def _add_records(commands: Commands) -> None:
    parser = _command(
        commands, "publish", "publish a record, or change that of its source", "workspace.publish"
    )
    for flag, text in (
        ("--org", "org_id"),
        ("--product", "the product that it is of"),
        ("--type", "record_type"),
        ("--ref", "source_ref: what it is of in the product"),
        ("--title", "title"),
    ):
        parser.add_argument(flag, required=True, help=text)
    parser.add_argument("--subtitle")
    parser.add_argument("--summary", help="summary_text")
    parser.add_argument("--href", help="app_href")
    parser.add_argument("--status")
    parser.add_argument("--meta", type=typed(json_object), help="JSON object")
    parser = _command(commands, "list", "the org's records", "workspace.list_records")
    parser.add_argument("--status")
    _add_filters(parser, limit=100)


def _add_webhooks(commands: Commands) -> None:
    parser = _command(
        commands, "register", "register a URL; its secret is shown once", "webhooks.register"
    )
    parser.add_argument("url", metavar="URL")
    parser.add_argument(
        "--event", action="append", help="event type, may be given again (default: those of run)"
    )
    parser.add_argument(
        "--secret-file", type=Path, help="a new file for the secret, in place of showing it"
    )
    parser = _command(commands, "test", "have webhook.test sent", "webhooks.test")
    parser.add_argument("id", metavar="ID", type=typed(webhook_id), help="of the webhook")
    _add_limit(_command(commands, "deliveries", "recent deliveries", "webhooks.deliveries"), 20)


def _group(commands: Commands, name: str, text: str) -> Commands:
    parser = commands.add_parser(name, help=text)
    return parser.add_subparsers(metavar="COMMAND", required=True, parser_class=type(parser))


def _command(commands: Commands, name: str, text: str, act: str) -> CommandParser:
    parser: CommandParser = commands.add_parser(name, help=text)
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    parser.set_defaults(handler="commands.running.run_act", act=act)
    add_flags(parser, AccessSettings)
    return parser


def _add_filters(parser: CommandParser, *, limit: int) -> None:
    parser.add_argument("--type", help="record_type")
    parser.add_argument("--product", help="only records of this product")
    _add_limit(parser, limit)


def _add_limit(parser: CommandParser, limit: int) -> None:
    parser.add_argument("--limit", type=typed(count), default=limit, help="(default: %(default)s)")
