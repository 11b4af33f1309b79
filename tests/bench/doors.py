"""Doors as rows: programs that ask us about each call, and a product with us inside.

What asks and what answers share one core, so that a row is a whole system's as any other.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench import peers
from tests.bench.envoys import envoy_cluster, run_envoy
from tests.bench.peer import Peer, Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.proxies import run_nginx
from tests.bench.stubs import Stubs
from tests.bench.work import ASKED, KEY

_ROOT: Final = Path(__file__).resolve().parents[2]

_BY_HTTP: Final = """
              http_service:
                server_uri: {uri: "http://127.0.0.1", cluster: authz, timeout: 2s}
                path_prefix: /envoy
                authorization_response:
                  allowed_upstream_headers: {patterns: [{prefix: x-bb-}]}
                  allowed_client_headers_on_success: {patterns: [{prefix: ratelimit}]}
              allowed_headers: {patterns: [{safe_regex: {regex: ".*"}}]}"""
_BY_GRPC: Final = """
              transport_api_version: V3
              grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 2s}"""
_BY_EXT_PROC: Final = """
              grpc_service:
                envoy_grpc: {cluster_name: authz}
                timeout: 0s
                initial_metadata: [{key: x-quota-mode-override, value: allowed}]
              message_timeout: 2s
              allow_mode_override: true
              processing_mode:
                {request_header_mode: SEND, request_body_mode: NONE, request_trailer_mode: SEND,
                 response_header_mode: SEND, response_body_mode: STREAMED,
                 response_trailer_mode: SEND}
              response_attributes: [response.code_details, upstream.request_attempt_count]"""
_GRPC: Final = {"ext_authz": _BY_GRPC, "ext_proc": _BY_EXT_PROC}
_HTTP2: Final = """    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""
_NGINX_ASKS: Final = """
      auth_request /_quota;
      auth_request_set $quota_limit $upstream_http_ratelimit;
      auth_request_set $bb_org $upstream_http_x_bb_org_id;
      proxy_set_header Connection "";
      proxy_set_header X-Request-ID $request_id;
      proxy_set_header X-BB-Org-Id $bb_org;
      add_header RateLimit $quota_limit always;"""
_NGINX_QUESTION: Final = """location = /_quota { internal;
      proxy_pass http://platform/forward-auth?for=nginx;
      proxy_pass_request_body off; proxy_set_header Content-Length "";
      proxy_set_header Connection "";
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Request-ID $request_id; }"""


def door_peers() -> tuple[Peer, ...]:
    """Return every door as a peer, with what it lacks where this machine cannot run it."""
    found = {peer.name: peer.missing for peer in peers.all_peers()}
    compiled = peers.COMPILED
    fastapi = _lacks("fastapi", "uvicorn")
    return (
        *(
            Peer(f"sidecar_forward_auth{suffix}", f"bb-sidecar, forward auth{title}",
                 partial(_authz, compiled=bool(suffix)), found[f"sidecar_exact{suffix}"],
                 path="/forward-auth", fields=ASKED, bodiless=True)
            for suffix, title in (("", ""), (compiled, ", compiled"))
        ),
        Peer("envoy_door", "Envoy + bb-sidecar (HTTP)", _envoy, found["envoy"]),
        Peer("envoy_grpc_door", "Envoy + bb-sidecar (gRPC)", partial(_envoy, grpc="ext_authz"),
             found["envoy"] or _lacks("grpc")),
        Peer("envoy_ext_proc_door", "Envoy + bb-sidecar (ext_proc)",
             partial(_envoy, grpc="ext_proc"), found["envoy"] or _lacks("grpc")),
        Peer("nginx_door", "nginx + bb-sidecar", _nginx, found["nginx"]),
        Peer("fastapi", "FastAPI alone", partial(_fastapi, metered=False), fastapi),
        Peer("fastapi_door", "FastAPI + QuotaMiddleware", partial(_fastapi, metered=True), fastapi),
    )  # fmt: skip


def _lacks(*packages: str) -> str | None:
    missing = [each for each in packages if importlib.util.find_spec(each) is None]
    return f"{', '.join(missing)} (PyPI)" if missing else None


@contextlib.contextmanager
def _authz(
    stubs: Stubs, folder: Path, *, compiled: bool | None = None, grpc: bool = False
) -> Iterator[Running]:
    """Run `authz`: these sources, or the compiled build; with None that where it is there."""
    compiled = peers.has_compiled() if compiled is None else compiled
    file = folder / "policy-authz.yaml"
    file.write_text(peers.policy("exact"))
    http, port = free_port(), free_port()
    asked = port if grpc else http
    command: list[str | Path] = [
        sys.executable, *(["-P"] if compiled else []), "-m", "sidecar", "authz",
        "--policy", file, "--http", f"127.0.0.1:{http}",
        *(["--grpc", f"127.0.0.1:{port}"] if grpc else []),
        "--admin", "127.0.0.1:0", "--platform-url", stubs.platform_url,
        "--auth-url", stubs.platform_url, "--max-inflight", "20000",
        "--max-connections", "20000", "--log-level", "error",
    ]  # fmt: skip
    env = {"PLATFORM_INTERNAL_KEY": KEY, "PYTHONPATH": "" if compiled else str(_ROOT)}
    log = folder / f"authz-{asked}.log"
    with running(command, core=SYSTEM_CORE, port=asked, log=log, env=env) as process:
        yield Running(asked, process.pid)


@contextlib.contextmanager
def _envoy(stubs: Stubs, folder: Path, *, grpc: str = "") -> Iterator[Running]:
    """Run Envoy with a filter that asks over HTTP, or over `grpc` by one of that name."""
    with _authz(stubs, folder, grpc=bool(grpc)) as authz:
        cluster = envoy_cluster("authz", authz.port, _HTTP2 if grpc else "")
        check, kind = (_GRPC[grpc], grpc) if grpc else (_BY_HTTP, "ext_authz")
        with run_envoy(stubs, folder, check, cluster, kind=kind) as envoy:
            yield Running(envoy.port, envoy.pid, (authz.pid,))


@contextlib.contextmanager
def _nginx(stubs: Stubs, folder: Path) -> Iterator[Running]:
    with (
        _authz(stubs, folder) as authz,
        run_nginx(stubs, folder, authz.port, _NGINX_ASKS, _NGINX_QUESTION) as nginx,
    ):
        yield Running(nginx.port, nginx.pid, (authz.pid,))


@contextlib.contextmanager
def _fastapi(stubs: Stubs, folder: Path, *, metered: bool) -> Iterator[Running]:
    """Run the product as one process of uvicorn; its answer is its own and not the stub's."""
    file = folder / "policy-fastapi.yaml"
    file.write_text(peers.policy("exact"))
    port = free_port()
    command: list[str | Path] = [
        sys.executable, *(["-P"] if peers.has_compiled() else []), "-m", "uvicorn",
        "--app-dir", Path(__file__).parent, "fastapi_product:served", "--port", str(port),
        "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "error",
    ]  # fmt: skip
    env = {
        "PYTHONPATH": "" if peers.has_compiled() else str(_ROOT),
        "BENCH_QUOTA": "1" if metered else "",
        "PLATFORM_INTERNAL_KEY": KEY,
        "SIDECAR_POLICY": str(file),
        "PLATFORM_API_URL": stubs.platform_url,
        "AUTH_SERVICE_URL": stubs.platform_url,
    }
    log = folder / f"fastapi-{port}.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)
