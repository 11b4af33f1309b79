"""What a command asks a process of this machine: a local platform, or a running sidecar.

Every failure is one line: the port may belong to something else.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Final

from typing_extensions import override

from sidecar.commands.sections import DrainSettings, HealthSettings, TokenSettings
from sidecar.domain.errors import UserError
from sidecar.settings.fields import read_section

_DIRECTLY: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""What is asked here is on this machine: a proxy of the environment is not for it."""


def token(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print a token that the local platform signs."""
    fix = "start one with `bb-sidecar platform`, or name it with --platform URL"
    named = {"org_id": args.org, "user_id": args.user, "role": args.role}
    wanted = {**named, "ttl": args.ttl, "claims": args.claims}
    body = {name: value for name, value in wanted.items() if value is not None}
    url = read_section(TokenSettings, args, environ).platform.url
    signed = ask(f"{url}/_control/token", body, fix=fix).get("token")
    if not isinstance(signed, str):
        raise UserError(f"token: {url} is not a local platform: it gave no token")
    sys.stdout.write(f"{signed}\n")
    return 0


def health(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Print what a sidecar says of itself; 0 when it is well."""
    where = read_section(HealthSettings, args, environ).admin.here
    url = f"http://{where}/{'ready' if args.ready else 'health'}"
    status = 0
    try:
        with _DIRECTLY.open(url, timeout=2) as answer:
            said = answer.read()
    except urllib.error.HTTPError as error:
        said, status = error.read(), 1
    except (OSError, HTTPException) as error:
        sys.stderr.write(f"bb-sidecar: health: {where} does not answer: {_reason(error)}\n")
        return 1
    sys.stdout.write(f"{said.decode(errors='replace')}\n")
    return status


def drain(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    """Have a sidecar refuse new requests: through its socket for changes, where it has one."""
    time.sleep(args.after)
    settings = read_section(DrainSettings, args, environ)
    path = settings.socket
    where = str(settings.admin.here if path is None else path)
    connection: HTTPConnection = (
        HTTPConnection(where, timeout=5) if path is None else _OnSocket(where)
    )
    flag = "--admin" if path is None else "--admin-socket"
    try:
        connection.request("POST", "/drain", headers={"Content-Length": "0"})
        answer = connection.getresponse()
        text = " ".join(answer.read(2000).decode(errors="replace").split())
    except (OSError, HTTPException) as error:
        fix = f"name where it takes changes with {flag}"
        raise UserError(f"drain: {where}: no answer: {_reason(error)}: {fix}") from error
    finally:
        connection.close()
    if answer.status != HTTPStatus.ACCEPTED:
        raise UserError(f"drain: {where}: answered {answer.status}: {text}")
    return 0


class _OnSocket(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    @override
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(url: str, body: Mapping[str, object], *, fix: str) -> dict[str, object]:
    """POST JSON and return the JSON object that comes; all else is a UserError with the `fix`."""
    request = urllib.request.Request(  # noqa: S310 - the URL is http or https: it was read before
        url, json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with _DIRECTLY.open(request, timeout=5) as answer:
            document = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        said = _detail(error.read(2000).decode(errors="replace"))
        raise UserError(f"{url}: answered {error.code}: {said}") from error
    except (OSError, ValueError, HTTPException) as error:
        raise UserError(f"{url}: no answer: {_reason(error)}: {fix}") from error
    return document if isinstance(document, dict) else {}


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
    text = str(getattr(error, "reason", error)) or type(error).__name__
    return text if text.isprintable() else json.dumps(text)
