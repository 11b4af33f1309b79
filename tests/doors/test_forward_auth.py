"""`bb-sidecar authz` behind the real programs, with the configurations that the docs print."""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sidecar.demo.upstream import DemoUpstream
from sidecar.local_platform.server import LocalPlatform
from sidecar.policy.fields import DENY_STATUSES
from tests.doors.serving import answering, stopped
from tests.e2e.harness import ORG, Orgs, policy, soon, surroundings
from tests.e2e.programs import SIDECAR, Program, start
from tests.free_ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "forward-auth.md"
WITHOUT_AUTHZ = {"nginx": 503, "traefik": 500, "caddy": 502, "envoy": 403}
"""What each of them answers while nothing decides, as the page says."""

PROGRAMS = tuple(WITHOUT_AUTHZ)
FORGED = {
    "x-bb-org-id": "evil",
    "x-bb-plan": "evil",
    "x-request-id": "mine",
    "x-original-uri": "/free",
    "x-forwarded-uri": "/free",
    "x-forwarded-method": "GET",
}

NGINX = """
daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;
events {{}}
http {{ access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
{server}
}}
"""
TRAEFIK = """
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: {folder}/dynamic.yaml}}}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
"""


def block(language: str, heading: str) -> str:
    """Return the configuration under a heading."""
    section = PAGE.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    found = re.search(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def command(program: str, folder: Path, ports: dict[str, int]) -> list[str]:
    """Write the configuration of a program with other ports; return what runs it."""

    def put(name: str, text: str) -> str:
        for replaced, port in ports.items():
            text = re.sub(rf"\b{replaced}\b", str(port), text)
        (folder / name).write_text(text)
        return str(folder / name)

    beside = Path(sys.executable)
    match program:
        case "nginx":
            text = NGINX.format(folder=folder, server=block("nginx", "nginx"))
            found = shutil.which("nginx", path="/usr/sbin:/usr/bin:/opt/homebrew/bin")
            assert found, "nginx is not installed: `make` installs it, or apt install nginx"
            return [found, "-p", str(folder), "-e", "stderr", "-c", put("nginx.conf", text)]
        case "traefik":
            put("dynamic.yaml", block("yaml", "Traefik"))
            text = TRAEFIK.format(folder=folder, port=8080)
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
    product: DemoUpstream
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
        running = await start(*command(program, folder, replaced), environ={"HOME": str(folder)})
        owned.push_async_callback(stopped, running)
        url = f"http://127.0.0.1:{port}"
        await answering(running, f"{url}/api/v1/chat", 401)
        client = httpx.AsyncClient(base_url=url, timeout=20.0)
        owned.push_async_callback(client.aclose)
        yield Asked(platform, product, authz, client, f"http://127.0.0.1:{admin_port}")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_forwards_what_is_allowed_and_nothing_else(
    program: str, tmp_path: Path
) -> None:
    """Allowed twice with the true identity, then 429; forged fields change nothing."""
    async with asked(program, tmp_path) as a:
        answers = [
            await a.client.post(
                "/api/v1/chat", headers={**a.cookie(), **FORGED}, json={"message": "hello"}
            )
            for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert a.charges() == 2
        assert [each.org_id for each in a.product.executions] == [ORG, ORG]
        assert "mine" not in {each.request_id for each in a.product.executions}
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].headers["content-type"] == "application/problem+json"
        assert answers[2].headers["x-should-retry"] == "false"
        assert answers[2].json()["reason"] == "over_quota"
        assert answers[2].json()["instance"] == answers[2].headers["x-request-id"]
        if program in {"nginx", "envoy"}:
            assert answers[0].headers["ratelimit"].startswith('"ai_calls";r=1;t=')
        anonymous = await a.client.post("/api/v1/chat", headers=FORGED)
        assert anonymous.status_code == anonymous.json()["status"] == 401
        assert anonymous.headers["www-authenticate"] == "Bearer"
        free = await a.client.get("/api/echo", headers=FORGED)
        assert free.status_code == 200
        last = a.product.executions[-1]
        assert (last.path, last.org_id, last.header("x-bb-plan")) == ("/api/echo", "", "")


@pytest.mark.parametrize("program", PROGRAMS)
async def test_no_spelling_of_an_identity_reaches_the_product(program: str, tmp_path: Path) -> None:
    """`X_BB_Org_Id` is `X-BB-Org-Id` behind WSGI; the Envoy configuration refuses the call."""
    async with asked(program, tmp_path) as a:
        forged = {"X_BB_Org_Id": "evil", "X_BB-Plan": "evil", "X-BB_Role": "evil"}
        answer = await a.client.get("/api/echo", headers=forged)
        assert answer.status_code == (400 if program == "envoy" else 200)
        assert "evil" not in str(a.product.executions)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("method", "fields"), [("post", {}), ("GET", {"X-HTTP-Method-Override": "POST"})]
)
async def test_no_spelling_of_a_method_is_free(
    program: str, tmp_path: Path, method: str, fields: dict[str, str]
) -> None:
    """Products read both as POST, which is metered: without a caller it is refused."""
    metered = [{"name": "posts", "match": {"path": "/x/**", "methods": ["POST"]}, "meter": {}}]
    async with asked(program, tmp_path, policy(routes=metered)) as a:
        answer = await a.client.request(method, "/x/y", headers=fields)
        assert 400 <= answer.status_code < 500
        assert answer.status_code != 404
        assert a.product.executions[-1:] == [] or a.product.executions[-1].path != "/x/y"


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_program_refuses_while_authz_is_down(program: str, tmp_path: Path) -> None:
    """Nothing is let through undecided."""
    async with asked(program, tmp_path) as a:
        before = len(a.product.executions)
        await a.authz.close()
        answer = await a.client.post("/api/v1/chat", headers=a.cookie(), json={})
        assert answer.status_code == WITHOUT_AUTHZ[program]
        assert len(a.product.executions) == before


@pytest.mark.parametrize("program", PROGRAMS)
async def test_a_platform_that_is_down_fails_open(program: str, tmp_path: Path) -> None:
    """The check has time for it, and what passed is reported once the platform answers."""
    async with asked(program, tmp_path) as a:
        await fault(a, status=500, error_rate=1.0)
        answer = await a.client.post("/api/v1/chat", headers=a.cookie(), json={"message": "hello"})
        assert answer.status_code == 200
        assert a.charges() == 0
        await fault(a)
        await soon(a.charges, lambda charges: charges == 1)


async def fault(a: Asked, **faults: object) -> None:
    """Replace the platform's faults."""
    async with httpx.AsyncClient(base_url=a.platform.url) as client:
        (await client.put("/_control/faults", json=faults)).raise_for_status()


def test_the_nginx_configuration_has_every_status_of_a_refusal() -> None:
    """`return` takes no variable: a status without a line would become 403."""
    statuses = {*DENY_STATUSES, 401, 408, 413, 415, 431, 500}
    lines = re.findall(r"\$quota_status = (\d+)\) \{ return (\d+) ", block("nginx", "nginx"))
    assert {int(status) for status, _ in lines} | {403} == statuses
    assert all(status == returned for status, returned in lines)
