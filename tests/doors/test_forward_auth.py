"""`bb-sidecar authz` behind the real programs, with the configurations that the docs print."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import httpx
import pytest

from sidecar.policy.fields import DENY_STATUSES
from tests.doors.forwarding import PROGRAMS, WITHOUT_AUTHZ, Asked, asked, block
from tests.doors.serving import NOWHERE, answering
from tests.e2e.harness import ORG, eventually, policy, soon
from tests.e2e.programs import start
from tests.free_ports import free_port

FORGED = {
    "x-bb-org-id": "evil",
    "x-bb-plan": "evil",
    "x-request-id": "mine",
    "x-original-uri": "/free",
    "x-forwarded-uri": "/free",
    "x-forwarded-method": "GET",
}


@pytest.mark.parametrize("program", [*PROGRAMS, "traefik on Kubernetes"])
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


async def test_one_label_meters_a_product_behind_traefik(tmp_path: Path) -> None:
    """A router of another provider, with what Docker makes of the label of the page."""
    label, _, reference = block("text", "Traefik").strip().partition("=")
    assert label == "traefik.http.routers.<name>.middlewares"
    labels, port = tmp_path / "labels.json", free_port()
    labels.write_text("{}")
    served = ("-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path))
    provider = await start(sys.executable, *served)
    url = f"http://127.0.0.1:{port}/{labels.name}"
    more = f"  http: {{endpoint: {url}, pollInterval: 200ms}}\n"
    try:
        await answering(provider, url)
        async with asked("traefik", tmp_path, more=more, product_url=NOWHERE) as a:
            router = {"rule": "PathPrefix(`/api/`)", "service": "notes"}
            service = {"loadBalancer": {"servers": [{"url": a.product.url}]}}
            http = {"routers": {"notes": {**router, "middlewares": [reference]}}}
            labels.write_text(json.dumps({"http": {**http, "services": {"notes": service}}}))

            async def free() -> int:
                return (await a.client.get("/api/echo")).status_code

            await eventually(free, lambda status: status == 200)  # else it leads nowhere
            answers = [await a.client.post("/api/v1/chat", headers=a.cookie()) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [200, 200, 429]
            assert a.charges() == 2
    finally:
        await provider.close()


async def test_ingress_nginx_is_asked_for_by_annotations(tmp_path: Path) -> None:
    """What a client sends as the fields that it does not set changes nothing."""
    async with asked("ingress-nginx", tmp_path) as a:
        forged = {**FORGED, "x-original-url": "http://a/free"}
        answers = [
            await a.client.post("/api/v1/chat", headers={**a.cookie(), **forged}, json={})
            for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [200, 200, 403]
        assert [each.org_id for each in a.product.executions] == [ORG, ORG]
        assert a.charges() == 2
        assert (await a.client.post("/api/v1/chat", headers=forged)).status_code == 401
        assert (await a.client.get("/api/echo", headers=forged)).status_code == 200
        assert a.product.executions[-1].org_id == ""


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


async def test_an_error_of_the_product_is_no_refusal_of_ours_behind_nginx(tmp_path: Path) -> None:
    """`error_page` is for what `auth_request` answers."""
    async with asked("nginx", tmp_path) as a:
        for status in (401, 403, 500):
            answer = await a.client.get(f"/api/status/{status}")
            assert (answer.status_code, answer.json()) == (status, {"status": status})
