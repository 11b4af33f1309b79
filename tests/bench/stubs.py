"""What stands behind every system: one nginx as product, platform and key host, on the load core.

nginx answers from memory, so that the stubs cost little beside the load itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.bench.processes import LOAD_CORE, free_port, running
from tests.bench.work import ANSWER_BYTES, Work


@dataclass(frozen=True, slots=True)
class Stubs:
    """Where the stubs listen."""

    upstream: int
    platform: int

    @property
    def platform_url(self) -> str:
        """The platform and auth host."""
        return f"http://127.0.0.1:{self.platform}"

    @property
    def upstream_url(self) -> str:
        """The product."""
        return f"http://127.0.0.1:{self.upstream}"


def reserve() -> Stubs:
    """Choose the ports, before the token names its issuer."""
    return Stubs(free_port(), free_port())


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
