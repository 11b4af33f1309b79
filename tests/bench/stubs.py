"""What stands behind every system: one nginx as product, platform and key host, on the load core.

nginx answers from memory, so that the stubs cost little beside the load itself. Platform and key
host listen twice: in clear text, and over TLS with a certificate that is its own authority.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.processes import LOAD_CORE, free_port, running
from tests.bench.work import ANSWER_BYTES, Work
from tests.fakes.certificates import loopback_contexts


@dataclass(frozen=True, slots=True)
class Stubs:
    """Where the stubs listen; with `ca`, the systems talk to the platform over TLS."""

    upstream: int
    platform: int
    platform_tls: int
    ca: Path | None = None

    @property
    def upstream_url(self) -> str:
        """The product."""
        return f"http://127.0.0.1:{self.upstream}"

    @property
    def platform_port(self) -> int:
        """The port of the platform that the systems use."""
        return self.platform if self.ca is None else self.platform_tls

    @property
    def platform_url(self) -> str:
        """The platform and auth host that the systems use."""
        scheme = "http" if self.ca is None else "https"
        return f"{scheme}://127.0.0.1:{self.platform_port}"

    @property
    def issuer(self) -> str:
        """The `iss` of every token, however the platform is reached."""
        return f"http://127.0.0.1:{self.platform}"

    @property
    def trust(self) -> dict[str, str]:
        """The environment in which a process of Python trusts the platform's certificate."""
        return {} if self.ca is None else {"SSL_CERT_FILE": str(self.ca)}

    def over_tls(self, folder: Path) -> Stubs:
        """Return the same stubs with the platform over TLS; `folder` is where they were started."""
        return replace(self, ca=folder / "loopback.pem")


def reserve() -> Stubs:
    """Choose the ports, before the token names its issuer."""
    return Stubs(free_port(), free_port(), free_port())


@contextlib.contextmanager
def started(stubs: Stubs, work: Work, folder: Path, *, refuse: bool = False) -> Iterator[None]:
    """Run nginx for the block; `refuse` makes the platform answer every consume with a no."""
    reset = datetime.fromtimestamp(time.time() + 86_400 * 10, UTC).isoformat()
    used = 1_000_000 if refuse else 12
    answer = {
        "allowed": not refuse, "used": used, "limit": 1_000_000, "remaining": 1_000_000 - used,
        "resource": "ai_calls", "period": "month", "reset_at": reset,
    }  # fmt: skip
    page = _completion()
    (folder / "jwks.json").write_bytes(work.key_set)
    loopback_contexts(folder)  # writes loopback.pem: certificate and key
    config = folder / "stubs.conf"
    config.write_text(
        f"""
{"user root;" if os.geteuid() == 0 else ""}
daemon off; worker_processes 1; pid {folder}/stubs.pid; error_log {folder}/stubs.err;
worker_rlimit_nofile 65536;
events {{ worker_connections 20000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  client_max_body_size 0; large_client_header_buffers 8 64k;
  server {{ listen 127.0.0.1:{stubs.upstream} backlog=4096; default_type application/json;
    location / {{ return 200 '{page}'; }}
    location /large {{ root {folder}; }}
  }}
  server {{ listen 127.0.0.1:{stubs.platform} backlog=4096; default_type application/json;
    listen 127.0.0.1:{stubs.platform_tls} ssl backlog=4096;
    ssl_certificate {folder}/loopback.pem; ssl_certificate_key {folder}/loopback.pem;
    ssl_protocols TLSv1.3;
    location /v1/quota/consume {{ return 200 '{json.dumps(answer)}'; }}
    location /authz {{ return {403 if refuse else 200} ''; }}
    location /.well-known/jwks.json {{ alias {folder}/jwks.json; }}
  }}
}}
"""
    )
    command: list[str | Path] = ["nginx", "-p", folder, "-c", config]
    with running(command, core=LOAD_CORE, port=stubs.upstream, log=folder / "stubs.log"):
        yield


def _completion() -> str:
    """Return the product's answer: a chat completion that every AI gateway accepts."""
    message = {"role": "assistant", "content": ""}
    answer = {
        "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_790_000_000,
        "model": "small", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }  # fmt: skip
    message["content"] = "a" * (ANSWER_BYTES - len(json.dumps(answer)))
    return json.dumps(answer)
