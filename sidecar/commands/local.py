"""What a command asks a process of this machine: a local platform, or a running sidecar.

Every failure is one line: the port may belong to something else.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final

from typing_extensions import override

from sidecar.domain.errors import UserError
from sidecar.settings.commands import DrainSettings, HealthSettings, TokenSettings
from sidecar.settings.fields import read_section

_SECONDS: Final = 5.0
_PROBE_SECONDS: Final = 2.0
_MOST_BYTES: Final = 1 << 20
_FIX: Final = "start the sidecar, or give its own "


def token(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print a token that the local platform signs."""
    named = {"org_id": args.org, "user_id": args.user, "role": args.role}
    wanted = {**named, "ttl": args.ttl, "claims": args.claims}
    body = json.dumps({name: value for name, value in wanted.items() if value is not None})
    at = read_section(TokenSettings, args, environ).platform
    kind = HTTPSConnection if at.tls else HTTPConnection
    try:
        connection = kind(at.host, at.port, timeout=_SECONDS)
        status, said = _ask(connection, "POST", "/_control/token", body.encode())
        document = json.loads(said) if status < HTTPStatus.BAD_REQUEST else None
    except (OSError, ValueError, HTTPException) as error:
        fix = "start one with `bb-sidecar platform`, or name it with --platform URL"
        raise UserError(f"{at.url}/_control/token: no answer: {_reason(error)}: {fix}") from error
    if status >= HTTPStatus.BAD_REQUEST:
        raise UserError(f"{at.url}/_control/token: answered {status}: {_detail(said[:2000])}")
    signed = document.get("token") if isinstance(document, dict) else None
    if not isinstance(signed, str):
        raise UserError(f"token: {at.url} is not a local platform: it gave no token")
    sys.stdout.write(f"{signed}\n")
    return 0


def health(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print what a sidecar says of itself; 0 when it is well."""
    at = read_section(HealthSettings, args, environ).admin.here
    try:
        connection = HTTPConnection(at.host, at.port, timeout=_PROBE_SECONDS)
        status, said = _ask(connection, "GET", "/ready" if args.ready else "/health")
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"bb-sidecar: health: {at}: no answer: {_reason(error)}: {_FIX}--admin\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return int(status >= HTTPStatus.BAD_REQUEST)


def drain(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Have a sidecar refuse new requests: through its socket for changes, where it has one."""
    time.sleep(args.after)
    settings = read_section(DrainSettings, args, environ)
    path, at = settings.socket, settings.admin.here
    where, flag = (at, "--admin") if path is None else (path, "--admin-socket")
    try:
        connection = (
            HTTPConnection(at.host, at.port, timeout=_SECONDS) if path is None else _OnSocket(path)
        )
        status, said = _ask(connection, "POST", "/drain")
    except (OSError, HTTPException) as error:
        raise UserError(f"drain: {where}: no answer: {_reason(error)}: {_FIX}{flag}") from error
    if status != HTTPStatus.ACCEPTED:
        raise UserError(f"drain: {where}: answered {status}: {' '.join(said[:2000].split())}")
    return 0


class _OnSocket(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = str(path)

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _ask(
    connection: HTTPConnection, method: str, path: str, body: bytes | None = None
) -> tuple[int, str]:
    """Return the status and the text of an answer. Raises OSError or HTTPException."""
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(_MOST_BYTES).decode(errors="replace")
    finally:
        connection.close()


def _detail(text: str) -> str:
    """Return what an error body of the platform says, on one line; other bodies as they are."""
    try:
        detail = json.loads(text)["detail"]
        if isinstance(detail, list):
            detail = "; ".join(f"{item['loc'][-1]}: {item['msg']}" for item in detail)
    except (ValueError, LookupError, TypeError):
        detail = text
    return " ".join(str(detail).split())


def _reason(error: Exception) -> str:
    """Say on one line why there was no answer; what came may hold anything."""
    strerror = error.strerror if isinstance(error, OSError) else None
    text = strerror or str(error) or type(error).__name__
    return text if text.isprintable() else json.dumps(text)
