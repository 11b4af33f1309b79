"""Envoy before the product, alone or with a filter that asks about each call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.gateways import find
from tests.bench.peer import Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.stubs import Stubs

_HCM: Final = (
    "type.googleapis.com/envoy.extensions.filters.network"
    ".http_connection_manager.v3.HttpConnectionManager"
)
_FILTERS: Final = {"ext_authz": "ExtAuthz", "ext_proc": "ExternalProcessor"}


@contextlib.contextmanager
def run_envoy(
    stubs: Stubs, folder: Path, check: str, clusters: str, *, kind: str = "ext_authz"
) -> Iterator[Running]:
    """Run Envoy before the product; `check` is what the filter asks, with `clusters` for it."""
    port = free_port()
    config = folder / f"envoy-{port}.yaml"
    config.write_text(_envoy_config(stubs, port, _filter(kind, check), clusters))
    command: list[str | Path] = [
        find("envoy") or "envoy", "-c", config, "--concurrency", "1", "--log-level", "error",
        "--use-dynamic-base-id", "--disable-hot-restart",
    ]  # fmt: skip
    log = folder / f"envoy-{port}.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log) as process:
        yield Running(port, process.pid)


def _filter(kind: str, check: str) -> str:
    name = f"{kind}.v3.{_FILTERS[kind]}"
    asks = f"""
          - name: envoy.filters.http.{kind}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.{name}{check}
"""
    return asks if check else ""


def _envoy_config(stubs: Stubs, port: int, asks: str, clusters: str) -> str:
    return f"""
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {_HCM}
          stat_prefix: in
          stream_idle_timeout: 600s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: "/"}}
                route: {{cluster: product, timeout: 0s}}
          http_filters:{asks}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
{envoy_cluster("product", stubs.upstream)}{clusters}"""


def envoy_cluster(name: str, port: int, more: str = "") -> str:
    """Return a cluster of one address; `more` are further lines of it."""
    return f"""  - name: {name}
    connect_timeout: 2s
    type: STATIC
    circuit_breakers:
      thresholds:
      - {{max_connections: 20000, max_pending_requests: 20000, max_requests: 20000}}
{more}    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
"""
