"""The command `bb-sidecar`: its subcommands, and how a user's mistake is told.

Each subcommand imports what it runs only when it runs: `bb-sidecar check` in a build step does not
pay for a server. A `UserError` is one line on stderr and exit status 2, never a traceback.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from typing_extensions import override

from sidecar import __version__
from sidecar.commands.registration import add_platform_commands
from sidecar.commands.standard_output import guarded_output
from sidecar.domain.errors import UserError

_LOCAL_PLATFORM: Final = "http://127.0.0.1:8092"
_ADMIN_HELP: Final = "its admin address (env SIDECAR_ADMIN; default: 127.0.0.1:9901)"
_MAX_PORT: Final = 65535
_MAX_WAIT: Final = 3600


class _Parser(argparse.ArgumentParser):
    """An argparse whose errors are one line, and which takes a flag by its whole name alone.

    `--key SECRET`, were it taken for `--key-file`, would be repeated as a file that is not there.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - argparse's own, passed on
        super().__init__(**kwargs, allow_abbrev=False)

    @override
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {_masked(message)} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; return the exit status."""
    try:
        with guarded_output():
            args = _parser().parse_args(argv)
            return int(args.run(args))
    except UserError as error:
        for line in str(error).splitlines():
            told = line.removeprefix("bb-sidecar: ").removeprefix("bb-sidecar ")
            print(f"bb-sidecar: {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough
        return 0


def _masked(text: str) -> str:
    """Mask a credential that stands where none belongs: what a command says is kept in logs."""
    from sidecar.telemetry.redaction import Redactor  # noqa: PLC0415

    return Redactor().text(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="bb-sidecar",
        description="Enforces a product's AI-call quota in front of its HTTP routes.",
    )
    parser.add_argument("--version", action="version", version=f"bb-sidecar {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    _add_run(commands)
    _add_demo(commands)
    _add_platform(commands)
    _add_token(commands)
    _add_init(commands)
    _add_check(commands)
    _add_explain(commands)
    _add_health(commands)
    _add_drain(commands)
    _add_inject(commands)
    add_platform_commands(commands)
    return parser


_Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse gives the type no public name


def _add_run(commands: _Commands[_Parser]) -> None:
    from sidecar.settings.run import add_run_arguments  # noqa: PLC0415 - see the module's docstring

    parser = commands.add_parser("run", help="the sidecar")
    add_run_arguments(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    gc.disable()  # until it serves: nothing is garbage yet, and a search takes a tenth of the start
    from sidecar.app.open_files import raise_limit  # noqa: PLC0415
    from sidecar.settings.run import Settings  # noqa: PLC0415

    raise_limit()
    settings = Settings.from_args(args, os.environ, terminal=sys.stderr.isatty())
    # Until the event loop has its own: process 1 of a container has no default action.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the policy is about to be read anyway
    if settings.workers > 1:
        from sidecar.workers.supervisor import run_workers  # noqa: PLC0415

        gc.enable()
        return run_workers(settings, os.environ)
    from sidecar.app.process import run  # noqa: PLC0415

    return run(settings, os.environ)


def _add_demo(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "demo", help="local platform, a small AI-like product and the sidecar, all in one"
    )
    for name, what in (
        ("--port", "port of the sidecar"),
        ("--admin-port", "port of its admin side"),
        ("--platform-port", "port of the local platform"),
        ("--upstream-port", "port of the product"),
    ):
        parser.add_argument(name, type=_port, default=0, help=f"{what} (default: a free one)")
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> int:
    from sidecar.app.open_files import raise_limit  # noqa: PLC0415
    from sidecar.demo.run import DemoPorts, demo  # noqa: PLC0415

    raise_limit()

    ports = DemoPorts(args.port, args.admin_port, args.platform_port, args.upstream_port)
    return demo(ports)


def _add_platform(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("platform", help="the local platform alone")
    parser.add_argument("--db", type=Path, help="SQLite file (default: in memory)")
    parser.add_argument("--seed", type=Path, help="YAML file with products, orgs and keys")
    parser.add_argument(
        "--listen", type=_address, default=("127.0.0.1", 8092), help="(default: 127.0.0.1:8092)"
    )
    parser.add_argument("--issuer", help="`iss` of tokens (default: the URL it is reached by)")
    parser.set_defaults(run=_platform)


def _platform(args: argparse.Namespace) -> int:
    from sidecar.local_platform.runner import run_platform  # noqa: PLC0415

    host, port = args.listen
    asyncio.run(run_platform(host=host, port=port, db=args.db, seed=args.seed, issuer=args.issuer))
    return 0


def _add_token(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("token", help="a bb_at signed by the local platform")
    parser.add_argument(
        "--platform", help=f"its URL (env PLATFORM_API_URL; default: {_LOCAL_PLATFORM})"
    )
    parser.add_argument("--org", required=True, help="org_id")
    parser.add_argument("--user", help="user_id")
    parser.add_argument("--role", help="such as org_owner")
    parser.add_argument("--ttl", type=int, help="seconds to live")
    parser.add_argument("--claims", type=_json_object, help="JSON object of claims that override")
    parser.set_defaults(run=_token)


def _token(args: argparse.Namespace) -> int:
    from sidecar.commands.local import token  # noqa: PLC0415

    body = {
        "org_id": args.org,
        "user_id": args.user,
        "role": args.role,
        "ttl": args.ttl,
        "claims": args.claims,
    }
    platform = args.platform or os.environ.get("PLATFORM_API_URL") or _LOCAL_PLATFORM
    return token(platform, {name: value for name, value in body.items() if value is not None})


def _add_init(commands: _Commands[_Parser]) -> None:
    from sidecar.commands.init import add_init_arguments  # noqa: PLC0415

    parser = commands.add_parser("init", help="write a commented policy to start from")
    add_init_arguments(parser)
    parser.set_defaults(run=_init)


def _init(args: argparse.Namespace) -> int:
    from sidecar.commands.init import init  # noqa: PLC0415

    return init(args, os.environ)


def _add_check(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "check", help="validate a policy: every problem as file:line:column: message"
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> int:
    from sidecar.policy.check import check_file  # noqa: PLC0415
    from sidecar.policy.problems import Severity  # noqa: PLC0415
    from sidecar.policy.risks import Deployment  # noqa: PLC0415

    deployment = Deployment(
        trusted_proxies=bool(os.environ.get("SIDECAR_TRUSTED_PROXIES")),
        shared_attempts=bool(os.environ.get("REDIS_URL")),
    )
    problems = check_file(args.file, deployment)
    for problem in problems:
        print(problem)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return 1
    count = sum(problem.severity is Severity.WARNING for problem in problems)
    print(f"{args.file}: ok" + (f", with {count} warning{'s'[: count > 1]}" if count else ""))
    return 0


def _add_explain(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "explain", help="which route matches, what it would cost, under which key, and why"
    )
    parser.add_argument("--policy", type=Path, required=True)
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("path", metavar="PATH", help="the path, with or without a query")
    parser.add_argument(
        "-H", "--header", action="append", default=[], type=_header, help="'Name: value'"
    )
    parser.add_argument("-d", "--data", help="the body; @FILE reads a file")
    parser.add_argument(
        "--product", help="the product's slug (env PRODUCT_SLUG; default: the policy's product)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run=_explain)


def _explain(args: argparse.Namespace) -> int:
    from sidecar.commands.explain import explain_call  # noqa: PLC0415
    from sidecar.settings.options import Given, SettingsError  # noqa: PLC0415
    from sidecar.settings.run import PRODUCT  # noqa: PLC0415

    given = Given((PRODUCT,), args, os.environ)
    if given.problems:
        raise SettingsError(tuple(given.problems))
    data: str | None = args.data
    body: bytes | None = None
    if data is None:
        pass
    elif data.startswith("@"):
        body = _read(Path(data[1:]))
    else:
        body = os.fsencode(data)  # the bytes as they were typed
    explained = explain_call(
        args.policy,
        method=args.method,
        target=args.path,
        headers=args.header,
        body=body,
        product=given.optional(PRODUCT),
        as_json=args.json,
    )
    print(explained)
    return 0


def _add_health(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser("health", help="ask a running sidecar; for container probes")
    parser.add_argument("--admin", help=_ADMIN_HELP)
    parser.add_argument("--ready", action="store_true", help="ask for readiness, not for life")
    parser.set_defaults(run=_health)


def _health(args: argparse.Namespace) -> int:
    from sidecar.commands.local import health  # noqa: PLC0415

    return health(args, os.environ)


def _add_drain(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "drain", help="tell a running sidecar to refuse new requests; for preStop hooks"
    )
    parser.add_argument("--admin", help=_ADMIN_HELP)
    parser.add_argument(
        "--admin-socket", help="its socket for changes (env SIDECAR_ADMIN_SOCKET; default: none)"
    )
    parser.add_argument(
        "--after",
        type=_seconds,
        default=0,
        metavar="SECONDS",
        help="wait first, until load balancers have heard that the pod ends (default: 0)",
    )
    parser.set_defaults(run=_drain)


def _drain(args: argparse.Namespace) -> int:
    from sidecar.commands.local import drain  # noqa: PLC0415

    time.sleep(args.after)
    return drain(args, os.environ)


def _add_inject(commands: _Commands[_Parser]) -> None:
    parser = commands.add_parser(
        "inject", help="the admission webhook that puts the sidecar into labelled pods"
    )
    parser.add_argument("--config", type=Path, required=True, help="what it adds; see the chart")
    parser.add_argument("--cert", type=Path, required=True, help="certificate with chain, PEM")
    parser.add_argument("--key", type=Path, required=True, help="its private key, PEM")
    parser.add_argument(
        "--listen", type=_address, default=("0.0.0.0", 8443), help="(default: 0.0.0.0:8443)"
    )
    parser.add_argument(
        "--metrics",
        type=_address,
        help="address of /metrics and /health without TLS (default: none)",
    )
    parser.set_defaults(run=_inject)


def _inject(args: argparse.Namespace) -> int:
    from sidecar.inject.certificate import Certificate  # noqa: PLC0415
    from sidecar.inject.config import load_config  # noqa: PLC0415
    from sidecar.inject.server import run_injector  # noqa: PLC0415
    from sidecar.telemetry.logs import setup_logging  # noqa: PLC0415

    host, port = args.listen
    config, certificate = load_config(args.config), Certificate(args.cert, args.key)
    setup_logging("info", "text" if sys.stderr.isatty() else "json")
    asyncio.run(run_injector(config, certificate, host=host, port=port, metrics=args.metrics))
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name a file that can be read") from error


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give 0 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a wait: give 0 to {_MAX_WAIT} seconds")
    return float(text)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is not host:port, such as 127.0.0.1:8092")
    return host.strip("[]"), _port(port)


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def _header(text: str) -> tuple[bytes, bytes]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not 'Name: value'")
    return os.fsencode(name.strip().lower()), os.fsencode(value.strip())
