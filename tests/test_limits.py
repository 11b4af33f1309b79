"""docs/limits.md is the code's own account: every value is true, and no bound is missing."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from pydantic import BaseModel

from sidecar.settings.fields import options
from sidecar.settings.run import SECTIONS

ROOT: Final = Path(__file__).parent.parent
PACKAGE: Final = ROOT / "sidecar"
PAGE: Final = ROOT / "docs" / "limits.md"

UNITS: Final = {
    "": 1.0, "bytes": 1.0, "KiB": 1024.0, "MiB": 1024.0**2,
    "ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0,
}  # fmt: skip
VALUE: Final = re.compile(r"(\d[\d,]*(?:\.\d+)?)(?: (bytes|KiB|MiB|ms|s|min|h)\b)?")
ROW: Final = re.compile(r"^\| (.+?) \| (.+?) \| (`.+?`) \| .+ \|$", re.MULTILINE)

SETTINGS: Final = options(*SECTIONS.values())

APART: Final = ("local_platform", "demo", "commands", "inject", "cli.py")
"""Parts that the internet does not reach: for development, for people, for the API server."""

NO_LIMITS: Final = {
    "a value's meaning": (
        "domain.quota.UNLIMITED", "http1.heads.CHUNKED", "http1.heads.UNTIL_CLOSE",
        "platform.answers._OK",
        "answers.words._SERVER_ERROR", "answers.refusals._CLIENT_ERROR", "notices.wording._WHOLE",
        "events.meaning._LEAST_MILLISECONDS", "events.meaning._MOST_MILLISECONDS",
        "http1.client._SWITCHING_PROTOCOLS", "proxy.relay._SWITCHING_PROTOCOLS",
        "proxy.relay._SERVER_ERROR",
        "frontends.aiohttp_answer._FAULT", "frontends.aiohttp_answer._SWITCHING_PROTOCOLS",
        "frontends.envoy.check_answers._PERMISSION_DENIED",
        "frontends.envoy.check_answers._UNAUTHENTICATED",
        "frontends.envoy.check_answers._UNAUTHORIZED",
        "frontends.envoy.processed_call._SERVER_ERROR",
        "frontends.envoy.shared_checks._OK",
        "frontends.asgi._FORBIDDEN", "frontends.asgi._POLICY_VIOLATION",
        "frontends.forward_auth._BAD_REQUEST", "frontends.forward_auth._FORBIDDEN",
        "frontends.forward_auth._NOT_FOUND", "frontends.forward_auth._OK",
        "frontends.forward_auth._UNAUTHORIZED",
        "frontends.asgi_answer._FAULT", "frontends.asgi_answer._FORBIDDEN",
        "proxy.relay._SERVER_ERROR",
        "frontends.asgi_answer._SWITCHING_PROTOCOLS", "frontends.door._SERVER_ERROR",
        "identity.credentials._EQUALS", "settings.sections._DAY", "settings.values._MAX_PORT",
        "domain.cors._MAX_PORT", "settings.redis_url._DEFAULT_PORT",
    ),
    "a format": (
        "http1.delivery._BYTES_ACKED_AT", "http1.delivery._BYTES_SENT_AT",
        "http1.delivery._TCP_INFO", "http1.delivery._TCP_CLOSE", "identity.jws._SEGMENTS",
        "admission.idempotency.NONCE_BYTES", "admission.idempotency._KEY_BYTES",
        "frontends.envoy.checks._DIGEST_BYTES",
        "storage.redis_attempts._SCOPE_BYTES", "storage.redis_holds._DIGEST_BYTES",
        "admission.journal_records._SURPLUS_BIT",
        "workers.link._LENGTH_BYTES",
        "answers.writer.MAX_INTEGER", "telemetry.logs._EVENT_WIDTH",
        "settings.fields._SHOWN_CHARS",
        "admission.journal_lock._READ", "admission.journal_lock._WRITE",
        "admission.journal_records.UNIT", "admission.journal_records._GONE",
        "admission.journal_records._TURNED",
        "client.client._PAGE", "policy.json_places._LONGEST_ESCAPE",
        "policy.json_walk._CLOSE_OBJECT", "policy.json_walk._QUOTE",
        "policy.json_text._LONGEST_CUT",
        "admin.listening._PRIVATE",
        "usage.decoding._DEFLATE_METHOD", "usage.elements._IN_ARRAY", "usage.elements._QUOTE",
        "usage.estimate._LONGEST_HEADER", "usage.formats.openai._HEAD",
        "usage.usage_chunk._NEW_LINE",
        "usage.realtime.deflate._WIDEST", "usage.realtime.deflate._NARROWEST",
        "usage.realtime.frame_writer.INTERNAL_ERROR",
        "usage.realtime.frame_writer.POLICY_VIOLATION",
        "usage.realtime.frame_writer.TRY_AGAIN_LATER",
        "usage.realtime.frame_writer.PROTOCOL_ERROR", "usage.realtime.frame_writer._FINAL",
        "usage.realtime.frame_writer._LONGEST_REASON",
        "usage.realtime.frame_header.LONGEST_CONTROL",
        "usage.realtime.frame_header._START",
        "usage.realtime.frame_header._TWO_BYTES",
    ),
    "a way to reckon": (
        "http1.memory.ENTRY_BYTES", "identity.verifier._ENTRY_BYTES",
        "identity.verifier._BYTES_PER_BYTE",
        "identity.keyset._SPREAD", "admission.journal_frames._WASTE",
        "admission.journal_frames._PIECE_BYTES", "admission.journal_frames._SMALL_FRAME",
        "admission.journal_lock._TRIES", "admission.journal_lock._WAIT_SECONDS",
        "platform.consume._SHARED_DEADLINES",
        "telemetry.registry._TRIES",
        "policy.amounts._LIMIT", "app.memory_limit._PART", "app.memory_limit._NO_LIMIT",
        "policy.store._USUAL_SWITCH_SECONDS", "policy.content_coding._WORK",
        "policy.json_grammar.NESTED", "policy.json_walk._BYTES",
        "policy.json_walk.STEP", "proxy.inbound._PIECE_WORK",
        "admission.cost.BYTES_PER_TOKEN",
        "usage.estimate.SHORTEST_BLOB",
    ),
    "a least length, of the operator's own secrets": (
        "identity.session_secret._SHORTEST_SECRET", "telemetry.redaction._SHORTEST_SECRET",
        "client.transport._SHORTEST_SECRET",
    ),
}  # fmt: skip
"""Numbers of the code that bound nothing a stranger can cost, and what they are."""


def rows() -> list[tuple[str, str, str]]:
    """Return each limit of the page: its name, its default, where it is."""
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def places(where: str) -> list[str]:
    """Return the flags and names in a cell."""
    return re.findall(r"`([^`]+)`", where)


def values(shown: str) -> list[float | None]:
    """Return the numbers in a cell, in seconds or bytes; None stands for `none`."""
    if shown == "none":
        return [None]
    return [float(n.replace(",", "")) * UNITS[unit] for n, unit in VALUE.findall(shown)]


def value_of(place: str) -> float | None:
    """Return what the code has: a constant, or the default of a flag, parameter or field."""
    if place.startswith("--"):
        (option,) = (each for each in SETTINGS if each.flag == place)
        return None if option.default is None else float(option.default)
    *module, name = place.split(".")
    if module[-1][0].isupper():
        *module, owner = module
        kind = getattr(importlib.import_module(".".join(("sidecar", *module))), owner)
        if issubclass(kind, BaseModel):
            return float(kind.model_fields[name].default)
        return float(inspect.signature(kind).parameters[name].default)
    return float(getattr(importlib.import_module(".".join(("sidecar", *module))), name))


@pytest.mark.parametrize(("limit", "shown", "where"), rows())
def test_the_page_tells_the_codes_value(limit: str, shown: str, where: str) -> None:
    """Each default is what the code has at the place that is named."""
    told, named = values(shown), places(where)
    if len(told) == 1:
        told *= len(named)
    assert told == pytest.approx([value_of(place) for place in named]), limit


def numbers(path: Path) -> Iterator[str]:
    """Give the constants of a module that are numbers, as the page names them."""
    module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        name = node.target.id
        if name.isupper() and node.value is not None and "Final" in ast.unparse(node.annotation):
            value = getattr(importlib.import_module(f"sidecar.{module}"), name)
            if type(value) in (int, float) and math.isfinite(value):
                yield f"{module}.{name}"


def test_no_bound_is_missing() -> None:
    """Every number of the code is on the page, or is told here to be something else."""
    told = {place for _, _, where in rows() for place in places(where)}
    other = {name for names in NO_LIMITS.values() for name in names}
    found = {
        name
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] not in APART
        for name in numbers(path)
    }
    assert sorted(found - told - other) == []
    assert sorted(other - found) == []


def test_every_flag_with_a_bound_is_there() -> None:
    """A flag whose default is a number, or that can be none, is a limit, but for these."""
    told = {place for _, _, where in rows() for place in places(where)}
    flags = {o.flag for o in SETTINGS if type(o.default) in (int, float) or "timeout" in o.flag}
    assert flags - told == {"--port", "--workers"}
