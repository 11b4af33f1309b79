"""`bb-sidecar webhooks register|test|deliveries` and `requests`."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from sidecar.client import PlatformClient
from sidecar.commands.output import Shown, plain, when
from sidecar.domain.errors import UserError
from sidecar.events.meaning import WANTED_EVENTS
from sidecar.settings.secret import Secret


async def register(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Register an endpoint and show its secret, or keep it in a file that only its owner reads."""
    if not re.match(r"https?://[^/?#\s]", args.url):
        fix = "give one such as https://product.example/hook"
        raise UserError(f"webhooks register: {args.url!r} is not a URL: {fix}")
    path: Path | None = args.secret_file
    if path is not None:
        _check_new(path)
    answer = await client.register_webhook(args.url, args.event or WANTED_EVENTS)
    if path is None:
        secret, note = answer.secret.reveal(), "this secret is shown once: keep it now"
    else:
        _keep(path, answer.secret)
        secret, note = f"in {path}", ""
    value = plain(answer)
    if isinstance(value, dict):
        value["secret"] = secret
    row = (answer.id, answer.url, " ".join(answer.event_types), secret)
    return Shown(value, ("id", "url", "events", "secret"), [row], note=note)


async def test(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Have `webhook.test` sent."""
    answer = await client.test_webhook(args.id)
    note = "see `bb-sidecar webhooks deliveries` for the result"
    return Shown(
        answer, ("delivery", "event"), [(answer.delivery_id or "", answer.event)], note=note
    )


async def deliveries(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Show recent deliveries, newest first."""
    answer = await client.webhook_deliveries(args.limit)
    rows = [
        (
            when(each.created_at),
            each.event,
            each.state,
            each.attempts,
            each.last_error or each.last_status,
            each.url,
        )
        for each in answer
    ]
    return Shown(answer, ("at", "event", "state", "attempts", "answer", "url"), rows)


async def requests(client: PlatformClient, args: argparse.Namespace) -> Shown:
    """Show recent calls made with the same key, newest first."""
    answer = await client.api_requests(args.limit)
    rows = [
        (
            when(each.at),
            each.method,
            each.path,
            each.status,
            "" if each.duration_ms is None else f"{each.duration_ms:.1f} ms",
        )
        for each in answer
    ]
    return Shown(answer, ("at", "method", "path", "status", "took"), rows)


def _check_new(path: Path) -> None:
    """Find out before the platform is asked: a secret that cannot be kept would be lost."""
    if path.exists():
        raise UserError(f"--secret-file {path}: is there already: name a new file, or remove it")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"--secret-file {path}: cannot be written: name one in a folder of yours")


def _keep(path: Path, secret: Secret) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(f"{secret.reveal()}\n")
