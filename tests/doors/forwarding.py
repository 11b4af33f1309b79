"""The real programs before a product, with the configurations that the docs print."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from sidecar.local_platform.server import LocalPlatform
from tests.doors.serving import answering, stopped
from tests.e2e.harness import ORG, Orgs, policy, surroundings
from tests.e2e.programs import SIDECAR, Program, start
from tests.fakes.recording_product import RecordingProduct
from tests.free_ports import free_port

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "forward-auth.md"
ON_KUBERNETES = DOCS / "kubernetes-doors.md"
WITHOUT_AUTHZ = {"nginx": 503, "traefik": 500, "caddy": 502, "envoy": 403}
"""What each of them answers while nothing decides, as the page says."""

PROGRAMS = tuple(WITHOUT_AUTHZ)

NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{ access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
{server}
}}
"""
TRAEFIK = "\nglobal: {checkNewVersion: false, sendAnonymousUsage: false}\n"

INGRESS_NGINX = """
map $http_x_request_id $req_id {{ default $http_x_request_id; "" $request_id; }}
server {{
  listen 127.0.0.1:8080;
  location = /_external-auth {{
    internal;
    proxy_pass_request_body off;
    proxy_set_header Content-Length "";
    proxy_set_header X-Forwarded-Proto "";
    proxy_set_header X-Request-ID $req_id;
    proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
    proxy_set_header X-Original-Method $request_method;
    proxy_set_header X-Sent-From "nginx-ingress-controller";
    proxy_set_header X-Auth-Request-Redirect $request_uri;
    proxy_pass {url};
  }}
  location / {{
    auth_request /_external-auth;
    {copied}
    proxy_set_header X-Request-ID $req_id;
    proxy_pass http://127.0.0.1:3000;
  }}
}}
"""
"""What the controller writes for the annotations of the page, as its template has it."""


def block(language: str, heading: str, page: Path = PAGE, *, name: str = "") -> str:
    """Return the configuration under a heading: the first one, or that with a name."""
    section = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    first = f"# {name}\n" if name else ""
    found = re.search(rf"^```{language}\n({first}.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def ingress_nginx() -> str:
    """Return what stands for the Ingress of the page."""
    noted = yaml.safe_load(block("yaml", "ingress-nginx", ON_KUBERNETES))["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/auth"
    names = [name.strip() for name in noted[f"{prefix}-response-headers"].split(",")]
    copied = [
        f"auth_request_set $authHeader{number} $upstream_http_{name.lower().replace('-', '_')};"
        f" proxy_set_header '{name}' $authHeader{number};"
        for number, name in enumerate(names)
    ]
    url = re.sub(r"//[^/]*", "//127.0.0.1:8093", noted[f"{prefix}-url"])
    return INGRESS_NGINX.format(url=url, copied="\n    ".join(copied))


def traefik_routes() -> str:
    """Return the objects of the page as Traefik's file provider has them."""
    *middlewares, ingress = yaml.safe_load_all(block("yaml", "Traefik", ON_KUBERNETES))
    specs = {each["metadata"]["name"]: each["spec"] for each in middlewares}
    for spec in specs.values():
        if "chain" in spec:
            spec["chain"]["middlewares"] = _names(spec["chain"]["middlewares"])
    (route,) = ingress["spec"]["routes"]
    used = _names(route["middlewares"])
    router = {"rule": "PathPrefix(`/`)", "service": "product", "middlewares": used}
    product = {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:3000"}]}}
    http = {"routers": {"all": router}, "middlewares": specs, "services": {"product": product}}
    return re.sub(r"//quota[^/]*", "//127.0.0.1:8093", yaml.safe_dump({"http": http}))


def _names(references: list[dict[str, str]]) -> list[str]:
    return [each["name"] for each in references]


def command(program: str, folder: Path, ports: dict[str, int], more: str = "") -> list[str]:
    """Write the configuration of a program with other ports; return what runs it.

    `more` are lines that Traefik's own configuration has besides.
    """

    def put(name: str, text: str) -> str:
        for replaced, port in ports.items():
            text = re.sub(rf"\b{replaced}\b", str(port), text)
        (folder / name).write_text(text)
        return str(folder / name)

    beside = Path(sys.executable)
    match program:
        case "nginx" | "ingress-nginx":
            printed = ingress_nginx() if program == "ingress-nginx" else block("nginx", "nginx")
            text = NGINX.format(folder=folder, server=printed)
            found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/opt/homebrew/bin")
            assert found, "nginx is not installed: `make` installs it, or apt install nginx"
            return [found, "-p", str(folder), "-e", "stderr", "-c", put("nginx.conf", text)]
        case "traefik" | "traefik on Kubernetes":
            routes = block("yaml", "Traefik") if program == "traefik" else traefik_routes()
            text = block("yaml", "Traefik", name="traefik.yaml") + more + TRAEFIK
            text = text.replace("quota.yaml", put("quota.yaml", routes))
            return [str(beside.with_name("traefik")), f"--configFile={put('t.yaml', text)}"]
        case "caddy":
            text = "{\n admin off\n auto_https off\n}\n" + block("caddy", "Caddy")
            return [
                str(beside.with_name("caddy")),
                *("run", "--adapter", "caddyfile", "--config", put("Caddyfile", text)),
            ]
        case _:
            return [
                str(beside.with_name("envoy")),
                *("-c", put("envoy.yaml", block("yaml", "Envoy")), "--log-level", "error"),
                *("--use-dynamic-base-id", "--concurrency", "1"),
            ]


@dataclass
class Asked:
    """A program before a product, with an authz beside it."""

    platform: LocalPlatform
    product: RecordingProduct
    authz: Program
    client: httpx.AsyncClient
    admin_url: str

    def cookie(self, org: str = ORG) -> dict[str, str]:
        """Return the header that carries a `bb_at`."""
        return {"cookie": f"bb_at={self.platform.mint_token(org)}"}

    def charges(self) -> int:
        """Return what the platform has counted."""
        return sum(each.amount for each in self.platform.consumes(ORG))


@contextlib.asynccontextmanager
async def asked(
    program: str,
    folder: Path,
    text: str = policy(),
    *,
    orgs: Orgs | None = None,
    product_url: str | None = None,
    flags: Mapping[str, object] | None = None,
    more: str = "",
) -> AsyncIterator[Asked]:
    """Run all of it; without a `product_url`, before the demo's product."""
    port, authz_port, admin_port = free_port(), free_port(), free_port()
    async with contextlib.AsyncExitStack() as owned:
        place, platform, product = await owned.enter_async_context(
            surroundings(text, orgs or {ORG: 2}, None, None, product_url)
        )
        flags = {
            "policy": place.policy_file, "http": f"127.0.0.1:{authz_port}",
            "admin": f"127.0.0.1:{admin_port}", "platform-url": place.platform_url,
            "auth-url": place.platform_url, "issuer": place.issuer, **(flags or {}),
        }  # fmt: skip
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        authz = await start(*SIDECAR, "authz", *words, environ=place.environ)
        owned.push_async_callback(authz.close)
        await answering(authz, f"http://127.0.0.1:{authz_port}/nothing", 404)
        replaced = {
            "8080": port,
            "8093": authz_port,
            "3000": int(place.upstream_url.rpartition(":")[2]),
        }
        words = command(program, folder, replaced, more)
        running = await start(*words, environ={"HOME": str(folder)})
        owned.push_async_callback(stopped, running)
        url = f"http://127.0.0.1:{port}"
        await answering(running, f"{url}/api/v1/chat", 401)
        client = httpx.AsyncClient(base_url=url, timeout=20.0)
        owned.push_async_callback(client.aclose)
        yield Asked(platform, product, authz, client, f"http://127.0.0.1:{admin_port}")
