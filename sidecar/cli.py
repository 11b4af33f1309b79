"""The command `bb-sidecar`: its subcommands and their flags, and how a mistake is shown.

What a command runs is imported only when it runs: `bb-sidecar check` in a build step does not pay
for a server. A `UserError` is one line on stderr and exit status 2, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Final, NoReturn

from typing_extensions import override

from sidecar import __version__
from sidecar.commands.arguments import header, json_object, typed
from sidecar.commands.init import add_init_arguments
from sidecar.commands.registration import add_platform_commands
from sidecar.commands.standard_output import guarded_output
from sidecar.domain.errors import UserError
from sidecar.settings.authz import add_authz_arguments
from sidecar.settings.commands import (
    DrainSettings,
    HealthSettings,
    ProductSettings,
    TokenSettings,
)
from sidecar.settings.fields import add_flags
from sidecar.settings.ranges import whole
from sidecar.settings.run import add_run_arguments
from sidecar.settings.values import Address, parse_address, parse_port

CommandHandler = Callable[[argparse.Namespace, Mapping[str, str]], int]

_PORT = typed(parse_port)
_ADDRESS = typed(parse_address)


class _Parser(argparse.ArgumentParser):
    """An argparse whose errors are one line, and which takes a flag by its whole name alone.

    `--key SECRET`, were it taken for `--key-file`, would be repeated as a file that is not there.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - argparse's own, passed on
        super().__init__(**kwargs, allow_abbrev=False)
        self.set_defaults(parser=self)  # of the command that was named: the innermost one

    @override
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {_masked(message)} (see {self.prog} --help)")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Name the first argument that this command does not know, and the nearest flag."""
        first = unknown[0].split("=")[0]
        near = get_close_matches(first, self._option_string_actions, n=1)
        meant = f"; did you mean {near[0]}?" if near else ""
        text = _masked(f"unknown argument {first}{meant}")
        raise UserError(f"{self.prog}: {text} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit status."""
    try:
        with guarded_output():
            args, unknown = _parser().parse_known_args(argv)
            if unknown:
                args.parser.refuse(unknown)
            return handler_of(args.handler)(args, os.environ)
    except UserError as error:
        for line in str(error).splitlines():
            text = line.removeprefix("bb-sidecar: ").removeprefix("bb-sidecar ")
            print(f"bb-sidecar: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has closed it
        return 0


def handler_of(name: str) -> CommandHandler:
    """Import what runs a command; `name` is that of a function, without the package."""
    module, _, function = name.rpartition(".")
    found: CommandHandler = getattr(import_module(f"sidecar.{module}"), function)
    return found


def _masked(text: str) -> str:
    """Mask a credential in the wrong place: what a command prints is kept in logs."""
    from sidecar.telemetry.redaction import Redactor  # noqa: PLC0415

    return Redactor().text(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bb-sidecar",
        description="A reverse proxy that enforces BizBasics quotas in front of an HTTP product.",
    )
    parser.add_argument("--version", action="version", version=f"bb-sidecar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    for name, handler, text, add_arguments in _COMMANDS:
        added = commands.add_parser(name, help=text)
        added.set_defaults(handler=handler)
        add_arguments(added)
    add_platform_commands(commands)
    return parser


def _add_check(parser: _Parser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE")
    doors = ("proxy", "asgi", "aiohttp", "authz", "ext_authz", "ext_proc")
    parser.add_argument(
        "--door", choices=doors, default="proxy",
        help=f"what will ask: {', '.join(doors)} (default: proxy)",
    )  # fmt: skip


def _add_demo(parser: _Parser) -> None:
    for name, what in (
        ("--port", "port of the sidecar, or of the product with the middleware"),
        ("--admin-port", "port of its admin side"),
        ("--platform-port", "port of the local platform"),
        ("--upstream-port", "port of the product"),
    ):
        parser.add_argument(name, type=_PORT, default=0, help=f"{what} (default: a free one)")
    doors = ("proxy", "asgi", "aiohttp")
    parser.add_argument(
        "--door", choices=doors, default="proxy",
        help="where the quota is checked: in a sidecar before the product, or in the product "
        "(default: proxy)",
    )  # fmt: skip


def _add_platform(parser: _Parser) -> None:
    parser.add_argument("--db", type=Path, help="SQLite file (default: in memory)")
    parser.add_argument("--seed", type=Path, help="YAML file with products, orgs and keys")
    parser.add_argument(
        "--listen", type=_ADDRESS, default=Address("127.0.0.1", 8092), help="(default: %(default)s)"
    )
    parser.add_argument("--issuer", help="`iss` of tokens (default: the URL it is reached by)")


def _add_token(parser: _Parser) -> None:
    parser.add_argument("--org", required=True, help="org_id")
    parser.add_argument("--user", help="user_id")
    parser.add_argument("--role", help="such as org_owner")
    parser.add_argument("--ttl", type=int, help="seconds to live")
    parser.add_argument(
        "--claims", type=typed(json_object), help="JSON object of claims that override"
    )
    add_flags(parser, TokenSettings)


def _add_explain(parser: _Parser) -> None:
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("path", metavar="PATH", help="the path, with or without a query")
    parser.add_argument(
        "-H", "--header", action="append", default=[], type=typed(header), help="'Name: value'"
    )
    parser.add_argument("-d", "--data", help="the body; @FILE reads a file")
    parser.add_argument(
        "--answer", type=Path, metavar="FILE",
        help="price this answer: a body, or what `curl -i` prints",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    add_flags(parser, ProductSettings)


def _add_health(parser: _Parser) -> None:
    parser.add_argument("--ready", action="store_true", help="ask for readiness, not for life")
    add_flags(parser, HealthSettings)


def _add_drain(parser: _Parser) -> None:
    add_flags(parser, DrainSettings)
    parser.add_argument(
        "--after",
        type=typed(whole(0, 3600)),
        default=0,
        metavar="SECONDS",
        help="wait first, until load balancers know that the pod ends (default: 0)",
    )


def _add_inject(parser: _Parser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="what it adds; see the chart")
    parser.add_argument("--cert", type=Path, required=True, help="certificate with chain, PEM")
    parser.add_argument("--key", type=Path, required=True, help="its private key, PEM")
    parser.add_argument(
        "--listen", type=_ADDRESS, default=Address("0.0.0.0", 8443), help="(default: %(default)s)"
    )
    parser.add_argument(
        "--metrics", type=_ADDRESS,
        help="address of /metrics and /health without TLS (default: none)",
    )  # fmt: skip


def _add_nothing(_: _Parser) -> None:
    """Leave a command that takes no argument as it is."""


_COMMANDS: Final[tuple[tuple[str, str, str, Callable[[_Parser], None]], ...]] = (
    ("run", "commands.serve.run", "run the sidecar", add_run_arguments),
    ("authz", "commands.authz.authz",
     "decide for nginx, Traefik, Caddy and Envoy, which forward by themselves",
     add_authz_arguments),
    ("demo", "demo.run.demo", "run a local platform, a small AI-like product and the sidecar",
     _add_demo),
    ("platform", "local_platform.runner.platform", "run the local platform alone", _add_platform),
    ("token", "commands.local.token", "print a user's token, signed by the local platform",
     _add_token),
    ("init", "commands.init.init", "write a commented policy to start from", add_init_arguments),
    ("check", "commands.check.check",
     "validate a policy: every problem as file:line:column: message", _add_check),
    ("explain", "commands.explain.explain_command",
     "show what a policy does with one request: route, cost, outcomes", _add_explain),
    ("health", "commands.local.health",
     "ask a running sidecar for its health; for container probes", _add_health),
    ("drain", "commands.local.drain",
     "have a running sidecar refuse new requests; for preStop hooks", _add_drain),
    ("inject", "commands.inject.inject",
     "run the admission webhook that adds the sidecar to labelled pods", _add_inject),
    ("version", "commands.version.version", "print the version and the build", _add_nothing),
)  # fmt: skip
"""Of each command that asks no platform: its name, what runs it, its help, what adds its flags."""
