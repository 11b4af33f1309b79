"""`bb-sidecar inject`: the admission webhook."""

from __future__ import annotations

import argparse
import asyncio
import sys

from sidecar.inject.certificate import Certificate
from sidecar.inject.config import load_config
from sidecar.inject.server import run_injector
from sidecar.telemetry.logs import setup_logging


def inject(args: argparse.Namespace, _environ: object) -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    config, certificate = load_config(args.config), Certificate(args.cert, args.key)
    setup_logging("info", "text" if sys.stderr.isatty() else "json")
    host, port = args.listen.host, args.listen.port
    metrics = None if args.metrics is None else (args.metrics.host, args.metrics.port)
    asyncio.run(run_injector(config, certificate, host=host, port=port, metrics=metrics))
    return 0
