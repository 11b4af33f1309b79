"""Peers that are plain proxies: nginx, HAProxy and Envoy, the first and the last with a check."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import Enum, auto
from pathlib import Path
from typing import Final, assert_never

from tests.bench.envoys import envoy_cluster, run_envoy
from tests.bench.peer import Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.stubs import Stubs

_TLS: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"


class Check(Enum):
    """What Envoy asks its authorization service with, for each request."""

    NOTHING = auto()
    """It asks nothing, and forwards."""
    DEFAULT = auto()
    """The fields it sends if not told otherwise: no cookie, so no token."""
    COOKIE = auto()
    """The cookie too, as a service that verifies a token there needs it."""


def nginx(stubs: Stubs, folder: Path, *, auth: bool) -> contextlib.AbstractContextManager[Running]:
    """Run nginx, with `auth` asking the platform by auth_request."""
    check = "auth_request /_authz;" if auth else ""
    scheme = "http" if stubs.ca is None else "https"
    # A location with a field of its own inherits none: without Connection it keeps no connection.
    asked = f"""location = /_authz {{ internal; proxy_pass {scheme}://platform/authz;
      proxy_ssl_protocols TLSv1.3; proxy_pass_request_body off;
      proxy_set_header Content-Length ""; proxy_set_header Connection ""; }}"""
    return run_nginx(stubs, folder, stubs.platform_port, check, asked)


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
def haproxy(stubs: Stubs, folder: Path) -> Iterator[Running]:
    """Run HAProxy, forwarding only."""
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


def envoy(
    stubs: Stubs, folder: Path, *, check: Check
) -> contextlib.AbstractContextManager[Running]:
    """Run Envoy, with its HTTP ext_authz filter where it checks."""
    match check:
        case Check.NOTHING:
            return run_envoy(stubs, folder, "", "")
        case Check.DEFAULT:
            fields = ""
        case Check.COOKIE:
            fields = """
                authorization_request:
                  allowed_headers: {patterns: [{exact: cookie}]}"""
        case _:
            assert_never(check)
    asks = f"""
              http_service:
                server_uri: {{uri: "{stubs.platform_url}", cluster: platform, timeout: 2s}}
                path_prefix: /authz{fields}"""
    cluster = envoy_cluster("platform", stubs.platform_port, _over_tls(stubs.ca))
    return run_envoy(stubs, folder, asks, cluster)


def _over_tls(ca: Path | None) -> str:
    """Return the lines of a cluster that is reached over TLS; none without an authority."""
    if ca is None:
        return ""
    return f"""    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": {_TLS}
        common_tls_context:
          tls_params: {{tls_maximum_protocol_version: TLSv1_3}}
          validation_context: {{trusted_ca: {{filename: {ca}}}}}
"""
