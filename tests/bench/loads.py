"""The parts that load systems in a closed loop, as data: which systems, and with what calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import throughput
from tests.bench.peer import Peer
from tests.bench.throughput import Throughput
from tests.bench.work import ALIKE, DISTINCT, LARGE, Calls


@dataclass(frozen=True, slots=True)
class LoadPart:
    """One part: the names of its peers, in the order in which they take turns."""

    title: str
    peers: tuple[str, ...]
    connections: tuple[int, ...] = (32,)
    refuse: bool = False
    calls: Calls = ALIKE


LOADS: Final[Mapping[str, LoadPart]] = {
    "throughput": LoadPart(
        "All systems, calls alike, platform in clear text",
        (
            "sidecar_exact", "sidecar_exact_compiled", "sidecar_lease", "sidecar_lease_compiled",
            "sidecar_unmetered", "sidecar_unmetered_compiled", "envoy_authz",
            "envoy_authz_default", "envoy", "nginx_auth", "nginx", "haproxy", "traefik", "caddy",
            "aiohttp", "aiohttp_cached", "litellm", "portkey",
        ),
        connections=(32, 256),
    ),
    "tls": LoadPart(
        "Metered, the platform in clear text and over TLS",
        (
            "sidecar_exact", "sidecar_exact_compiled", "sidecar_exact_tls",
            "sidecar_exact_tls_compiled", "envoy_authz", "envoy_authz_tls", "envoy_authz_default",
            "envoy_authz_default_tls", "nginx_auth", "nginx_auth_tls", "aiohttp", "aiohttp_tls",
        ),
    ),
    "plain": LoadPart(
        "Lease and unmetered, beside plain proxies",
        (
            "sidecar_lease", "sidecar_lease_compiled", "sidecar_unmetered",
            "sidecar_unmetered_compiled", "envoy", "haproxy",
        ),
    ),
    "distinct": LoadPart(
        "100 orgs, each call with a request ID and a prompt of its own",
        (
            "sidecar_exact", "sidecar_exact_compiled", "sidecar_lease_compiled",
            "envoy_authz_default",
        ),
        calls=DISTINCT,
    ),
    "denied": LoadPart(
        "Denied by the platform",
        ("sidecar_exact", "sidecar_exact_compiled", "envoy_authz", "envoy_authz_default"),
        refuse=True,
    ),
    "settled": LoadPart(
        "Settled by usage, calls alike, beside exact",
        (
            "sidecar_exact", "sidecar_exact_compiled", "sidecar_settled",
            "sidecar_settled_compiled", "sidecar_owed", "sidecar_owed_compiled",
        ),
    ),
    "doors": LoadPart(
        "Doors: what asks us shares our core",
        (
            "sidecar_exact", "sidecar_exact_compiled", "envoy_authz", "nginx_auth",
            "sidecar_forward_auth", "sidecar_forward_auth_compiled", "envoy_door",
            "envoy_grpc_door", "envoy_ext_proc_door", "nginx_door", "fastapi", "fastapi_door",
        ),
    ),
    "large": LoadPart(
        "Prompts of 50 KB, every other call a stream of 60 events, settled by usage",
        ("sidecar_priced", "sidecar_priced_compiled", "litellm_budgets"),
        connections=(16,),
        calls=LARGE,
    ),
    "alone": LoadPart(
        "One call at a time, platform in clear text",
        (
            "product", "platform", "sidecar_exact", "sidecar_exact_compiled", "sidecar_unmetered",
            "envoy_authz", "nginx_auth", "aiohttp",
        ),
        connections=(1,),
    ),
    "alone_tls": LoadPart(
        "One call at a time, platform over TLS",
        (
            "product", "platform", "sidecar_exact_tls", "sidecar_exact_tls_compiled",
            "envoy_authz_default_tls",
        ),
        connections=(1,),
    ),
}  # fmt: skip


def measure(
    part: LoadPart, peers: Mapping[str, Peer], folder: Path, *, rounds: int, seconds: int
) -> list[Throughput]:
    """Measure the part's peers that can run here."""
    present = [peers[name] for name in part.peers if name in peers]
    rows = []
    for connections in part.connections:
        rows += throughput.measure(
            present, folder, connections=connections, rounds=rounds, seconds=seconds,
            refuse=part.refuse, calls=part.calls,
        )  # fmt: skip
    return rows
