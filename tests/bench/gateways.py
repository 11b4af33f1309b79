"""Peers that come as programs of their own: two proxies with forward auth, two AI gateways."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.bench.peer import Running
from tests.bench.processes import SYSTEM_CORE, free_port, running
from tests.bench.stubs import Stubs

PEERS: Final = Path(__file__).resolve().parents[2] / ".venv-bench"
"""Where `.ci/bench-peers` installs what has an environment of its own."""


def find(program: str) -> str | None:
    """Return a peer's program: of this environment, of the peers' own, or of the path."""
    places = [Path(sys.executable).parent, PEERS / "bin", PEERS / "litellm" / "bin"]
    path = ":".join([*map(str, places), os.environ.get("PATH", "")])
    if program == "portkey":
        script = PEERS / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
        return str(script) if script.exists() and shutil.which("node") else None
    return shutil.which(program, path=path)


@contextlib.contextmanager
def traefik(stubs: Stubs, folder: Path) -> Iterator[Running]:
    """Run Traefik with its forwardAuth middleware."""
    port = free_port()
    routes = folder / f"traefik-{port}-routes.yaml"
    routes.write_text(
        f"""http:
  routers:
    all: {{rule: "PathPrefix(`/`)", service: product, middlewares: [auth]}}
  middlewares:
    auth: {{forwardAuth: {{address: "{stubs.platform_url}/authz"}}}}
  services:
    product: {{loadBalancer: {{servers: [{{url: "{stubs.upstream_url}"}}]}}}}
"""
    )
    config = folder / f"traefik-{port}.yaml"
    config.write_text(
        f"""entryPoints: {{in: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: "{routes}"}}}}
serversTransport: {{maxIdleConnsPerHost: 512}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
log: {{level: ERROR}}
"""
    )
    command: list[str | Path] = [find("traefik") or "traefik", f"--configFile={config}"]
    env = {"GOMAXPROCS": "1"}
    log = folder / "traefik.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def caddy(stubs: Stubs, folder: Path) -> Iterator[Running]:
    """Run Caddy with its forward_auth directive."""
    port = free_port()
    config = folder / f"Caddyfile-{port}"
    config.write_text(
        f"""{{
  admin off
  auto_https off
  log {{
    level ERROR
  }}
}}
http://127.0.0.1:{port}, http://notes.example.com:{port} {{
  bind 127.0.0.1
  forward_auth {stubs.platform_url} {{
    uri /authz
  }}
  reverse_proxy {stubs.upstream_url} {{
    transport http {{
      keepalive_idle_conns_per_host 512
    }}
  }}
}}
"""
    )
    command: list[str | Path] = [
        find("caddy") or "caddy", "run", "--adapter", "caddyfile", "--config", config,
    ]  # fmt: skip
    env = {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = folder / "caddy.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def litellm(stubs: Stubs, folder: Path, *, budgets: bool) -> Iterator[Running]:
    """Run the LiteLLM proxy with one model, which is the product.

    With `budgets` a call has a price, and the deployment and its provider a limit for a day. Spend
    is kept in memory: limits for each key need a database, and would take longer.
    """
    port = free_port()
    priced, limited = "", ""
    if budgets:
        limit = "budget_duration: 1d, max_budget: 1000000"
        priced = f", input_cost_per_token: 0.000001, output_cost_per_token: 0.000004, {limit}"
        limited = (
            "router_settings: {provider_budget_config:"
            " {openai: {budget_limit: 1000000, time_period: 1d}}}\n"
        )
    config = folder / "litellm.yaml"
    config.write_text(
        f"""model_list:
  - model_name: small
    litellm_params:
      {{model: openai/small, api_base: "{stubs.upstream_url}/v1", api_key: sk-bench{priced}}}
{limited}litellm_settings: {{telemetry: false}}
general_settings: {{master_key: sk-bench}}
"""
    )
    command: list[str | Path] = [
        find("litellm") or "litellm", "--config", config, "--host", "127.0.0.1",
        "--port", str(port), "--num_workers", "1",
    ]  # fmt: skip
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    log = folder / "litellm.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)


@contextlib.contextmanager
def portkey(stubs: Stubs, folder: Path) -> Iterator[Running]:
    """Run the Portkey gateway; where to forward to is in the request's fields."""
    port = free_port()
    command: list[str | Path] = [
        "node", find("portkey") or "portkey", f"--port={port}", "--headless",
    ]  # fmt: skip
    env = {"TRUSTED_CUSTOM_HOSTS": f"127.0.0.1:{stubs.upstream},127.0.0.1,localhost"}
    log = folder / "portkey.log"
    with running(command, core=SYSTEM_CORE, port=port, log=log, env=env) as process:
        yield Running(port, process.pid)
