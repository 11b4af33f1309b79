"""The command groups as argparse knows them.

Light on purpose: every command of `bb-sidecar` builds this, and only one of ours needs a client.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from sidecar.domain.model import Resource
from sidecar.settings.run import (
    API_KEY_FILE,
    API_KEY_VARIABLE,
    AUTH_URL,
    KEY_FILE,
    KEY_VARIABLE,
    PLATFORM_URL,
)

CommandParser = argparse.ArgumentParser
Commands = Any
"""What `add_subparsers` returns: argparse gives it no public name."""

_SHOWN: Final = 80

_RESOURCES: Final = tuple(resource.value for resource in Resource)


def add_platform_commands(commands: Commands) -> None:
    """Add every command that asks the platform for a person."""
    _add_quota(_group(commands, "quota", "what an org may use, and has used"))
    _add_records(_group(commands, "records", "an org's workspace records"))
    _command(commands, "catalog", "the products that an org can see", "workspace.catalog")
    parser = _command(commands, "search", "search an org's workspace records", "workspace.search")
    parser.add_argument("q", metavar="WORDS", help="what to look for")
    _add_filters(parser)
    parser.add_argument("--limit", type=_count, default=20, help="(default: %(default)s)")
    _add_webhooks(_group(commands, "webhooks", "the product's webhooks"))
    parser = _command(
        commands, "requests", "recent calls made with a bbk_ key", "webhooks.requests"
    )
    parser.add_argument("--limit", type=_count, default=20, help="(default: %(default)s)")
    _add_doctor(commands)


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
    parser.add_argument("--amount", type=_count, default=1, help="(default: %(default)s)")
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
    parser.add_argument("--meta", type=_json_object, help="JSON object")
    parser = _command(commands, "list", "the org's records", "workspace.list_records")
    _add_filters(parser)
    parser.add_argument("--status")
    parser.add_argument("--limit", type=_count, default=100, help="(default: %(default)s)")


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
    parser.add_argument("id", metavar="ID", type=_id, help="of the webhook")
    parser = _command(commands, "deliveries", "recent deliveries", "webhooks.deliveries")
    parser.add_argument("--limit", type=_count, default=20, help="(default: %(default)s)")


def _add_doctor(commands: Commands) -> None:
    parser = commands.add_parser(
        "doctor", help="is all there that the sidecar needs of the platform?"
    )
    parser.add_argument("--policy", type=Path, help="(env SIDECAR_POLICY)")
    parser.add_argument("--product", help="(env PRODUCT_SLUG; default: the policy's)")
    _add_common(parser)
    parser.set_defaults(run=_ran("doctor.examine"))


def _group(commands: Commands, name: str, text: str) -> Commands:
    parser = commands.add_parser(name, help=text)
    return parser.add_subparsers(metavar="COMMAND", required=True, parser_class=type(parser))


def _command(commands: Commands, name: str, text: str, act: str) -> CommandParser:
    parser: CommandParser = commands.add_parser(name, help=text)
    _add_common(parser)
    parser.set_defaults(run=_ran(act))
    return parser


def _ran(act: str) -> Callable[[argparse.Namespace], int]:
    """Return what runs `act`; the client and the tables are imported only then."""

    def run(args: argparse.Namespace) -> int:
        from sidecar.commands.running import run_act  # noqa: PLC0415 - see above

        return run_act(act, args, os.environ)

    return run


def _add_common(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="JSON in place of a table")
    _add_access(parser)


def _add_access(parser: CommandParser) -> None:
    """Add the flags that say where the platform is and in which files its keys are."""
    group = parser.add_argument_group("the platform")
    for option, text in (
        (PLATFORM_URL, "its API"),
        (AUTH_URL, "its auth host"),
        (KEY_FILE, f"file with the product's bbas_ key; else the variable {KEY_VARIABLE}"),
        (API_KEY_FILE, f"file with an org's bbk_ key; else the variable {API_KEY_VARIABLE}"),
    ):
        default = f"; default: {option.default_text}" if option.default is not None else ""
        group.add_argument(
            option.flag,
            dest=option.name,
            metavar="FILE" if "file" in option.name else "URL",
            help=f"{text} (env {option.env}{default})",
        )


def _add_filters(parser: CommandParser) -> None:
    parser.add_argument("--type", help="record_type")
    parser.add_argument("--product", help="only records of this product")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) <= len(str(2**53))) or text == "0":
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _id(text: str) -> str:
    if not text.strip("."):
        raise argparse.ArgumentTypeError(f"{text!r} is no ID: `webhooks register` shows it")
    return text


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text[:_SHOWN]!r} is not a JSON object")
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
