"""The other commands, as a user runs them: check, explain, token, health, platform, demo."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from pathlib import Path
from signal import SIGINT

import httpx
import jwt

from tests.e2e.harness import Page, policy, scrape
from tests.e2e.programs import SIDECAR, Program, process_stack, run, running, start

SEED = """
products:
  - {slug: acme-notes, key: bbas_dev_acme_notes}
orgs:
  - id: org_acme
    plan: pro
    apps: [acme-notes]
    quotas: {ai_calls: 25, api_calls: -1}
    keys: [{key: bbk_dev_acme, scopes: [read, write], product: acme-notes}]
"""


async def test_check_passes_a_good_policy(tmp_path: Path) -> None:
    """A good policy is ok, with status 0; notes say what it means for each replica."""
    file = tmp_path / "policy.yaml"
    file.write_text(policy())
    environ = {"APP_SESSION_SECRET": "x" * 32}
    status, out, err = await run("check", str(file), environ=environ)
    *notes, ok = out.splitlines()
    assert (status, ok, err) == (0, f"{file}: ok", "")
    assert all(": note: " in note for note in notes)


async def test_check_tells_every_problem(tmp_path: Path) -> None:
    """Each problem is `file:line:column: message` on stdout, and the status is 1."""
    file = tmp_path / "policy.yaml"
    file.write_text(
        "version: 1\n"
        "product: acme\n"
        "colour: red\n"
        "routes:\n"
        "  - name: a\n"
        "    match: {path: /a/**}\n"
        "    meter: {resource: ai_cals}\n"
        "  - name: a\n"
        "    match: {path: /a/b}\n"
        "    action: deny\n"
    )
    status, out, err = await run("check", str(file))
    assert (status, err) == (1, "")
    found = {
        int(match[1])
        for line in out.splitlines()
        if (match := re.match(rf"{re.escape(str(file))}:(\d+):\d+: .+", line))
    }
    assert len(out.splitlines()) >= 3
    assert {3, 7, 8} <= found


async def test_explain_tells_route_price_and_key(tmp_path: Path) -> None:
    """What would happen to a call is told without a platform."""
    file = tmp_path / "policy.yaml"
    route = {
        "name": "chat",
        "match": {"path": "/api/v1/chat/**", "methods": ["POST"]},
        "meter": {"amount": {"json": "/n", "default": 1, "max": 16}},
    }
    file.write_text(policy(routes=[route]))
    body = tmp_path / "body.json"
    body.write_text('{"n": 3}')
    words = ["explain", "--policy", str(file), "POST", "/api/v1//chat/x?q=1"]
    words += ["-H", "content-type: application/json", "-d", f"@{body}"]
    status, out, err = await run(*words)
    assert (status, err) == (0, "")
    assert "chat" in out
    assert "3" in out
    assert "ai_calls" in out
    assert "key: a digest over" in out


async def test_token_is_signed_by_the_platform_that_runs(tmp_path: Path) -> None:
    """`platform --seed` runs alone, and `token` prints one that its key set verifies."""
    seed = tmp_path / "seed.yaml"
    seed.write_text(SEED)
    async with running("platform", "--listen", "127.0.0.1:0", "--seed", str(seed)) as program:
        url = (await program.line(lambda line: line.startswith("local platform"))).split()[2]
        words = ["token", "--platform", url, "--org", "org_acme", "--user", "user_7"]
        words += ["--role", "member", "--ttl", "60", "--claims", '{"plan": "team"}']
        status, token, err = await run(*words)
        assert (status, err) == (0, "")
        keys = await asyncio.to_thread(
            jwt.PyJWKClient(f"{url}/.well-known/jwks.json").get_signing_key_from_jwt, token
        )
        claims = jwt.decode(token, keys.key, algorithms=["RS256"], issuer=url)
        assert (claims["org_id"], claims["user_id"]) == ("org_acme", "user_7")
        assert (claims["role"], claims["plan"]) == ("member", "team")
        assert claims["exp"] - claims["iat"] == 60
        status, out, err = await run("token", "--platform", url, "--org", "nobody")
        assert (status, out) == (2, "")
        assert "answered 404" in err
        program.send(SIGINT)
        assert await program.ended() == 0


async def test_platform_remembers_with_a_database(tmp_path: Path) -> None:
    """With `--db` what was counted is there after a restart; keys are printed for the first one."""
    database = tmp_path / "platform.db"
    words = ["platform", "--listen", "127.0.0.1:0", "--db", str(database)]
    async with running(*words) as first:
        said = await first.line(lambda line: "/v1/quota/consume" in line)
        url = re.findall(r"http://[0-9.:]+", said)[0]
        (key,) = {found for line in first.out for found in re.findall(r"bbas_[\w-]+", line)}
        org = json.loads(re.findall(r"\{.*\}", said)[0])["org_id"]
        async with httpx.AsyncClient(base_url=url) as client:
            body = {"org_id": org, "resource": "ai_calls"}
            headers = {"x-internal-key": key}
            answer = await client.post("/v1/quota/consume", json=body, headers=headers)
            assert answer.json()["used"] == 1
        first.send(SIGINT)
        assert await first.ended() == 0
    async with running(*words) as second:
        said = await second.line(lambda line: line.startswith("local platform"))
        async with httpx.AsyncClient(base_url=said.split()[2]) as client:
            counted = (await client.get("/_control/consumes")).json()
            assert [each["org_id"] for each in counted] == [org]


async def test_health_asks_a_running_sidecar() -> None:
    """`health` is a probe: 0 when well, 1 when not, also when nobody answers."""
    async with process_stack() as s:
        admin = s.admin.removeprefix("http://")
        assert await run("health", "--admin", admin) == (0, '{"status":"ok"}', "")
        status, out, _ = await run("health", "--ready", environ={"SIDECAR_ADMIN": admin})
        assert (status, json.loads(out)["ready"]) == (0, True)
        await s.client.post(f"{s.admin}/drain")
        status, out, _ = await run("health", "--ready", "--admin", admin)
        assert (status, json.loads(out)["ready"]) == (1, False)
    status, out, err = await run("health", "--admin", admin)
    assert (status, out) == (1, "")
    assert admin in err
    assert len(err.splitlines()) == 1


async def test_output_into_a_closed_pipe_is_no_fault() -> None:
    """`bb-sidecar … | head -1` ends in silence."""
    command = " ".join(shlex.quote(word) for word in (*SIDECAR, "run", "--help"))
    program = await start("bash", "-c", f"{command} | head -1")
    assert await program.ended() == 0
    assert program.err == []
    assert len(program.out) == 1


async def paste(line: str) -> tuple[str, Program]:
    """Paste a line into a shell; return what it printed."""
    program = await start("bash", "-c", line)
    assert await program.ended() == 0
    return "\n".join(program.out), program


async def test_the_demo_shows_the_main_job() -> None:
    """The first lines show an allowed call, a stream and a refusal; the books agree."""
    async with running("demo") as demo:
        await demo.line(lambda line: line.startswith("Ctrl-C"))
        tokens = "\n".join(line for line in demo.out if line.startswith("export"))
        lines = [f"{tokens}\n{line}" for line in demo.out if line.startswith("curl")]
        allowed, stream, refused, _, metrics, consumes = lines

        answer, _ = await paste(allowed)
        head, _, body = answer.replace("\r", "").partition("\n\n")
        assert head.startswith("HTTP/1.1 200 OK")
        fields = dict(line.lower().split(": ", 1) for line in head.splitlines()[1:])
        assert fields["ratelimit-policy"] == '"ai_calls";q=25;w=2592000'
        assert fields["ratelimit"].startswith('"ai_calls";r=24;t=')
        assert json.loads(body)["object"] == "chat.completion"

        streaming = await start("bash", "-c", stream)
        await streaming.line(lambda line: line.startswith("data: "))
        assert streaming.running  # the first event came before the last was made
        assert await streaming.ended() == 0
        events = [line for line in streaming.out if line.startswith("data: ")]
        assert len(events) > 3
        assert events[-1] == "data: [DONE]"

        answer, _ = await paste(refused)
        head, _, body = answer.replace("\r", "").partition("\n\n")
        assert head.startswith("HTTP/1.1 429 Too Many Requests")
        problem = json.loads(body)
        assert (problem["reason"], problem["remaining"]) == ("over_quota", 0)
        assert problem["reset_at"].endswith("T00:00:00Z")

        units = re.findall(
            r'^bb_sidecar_units_total\{.*reason="within_quota".*\} (\d+)',
            (await paste(metrics))[0],
            re.MULTILINE,
        )
        counted = json.loads((await paste(consumes))[0])
        assert sum(map(int, units)) == sum(each["amount"] for each in counted) == 5
        page: Page = await scrape(re.findall(r"http://[0-9.:]+", metrics)[0])
        assert page.sum("units_total") == 5

        demo.send(SIGINT)
        assert await demo.ended() == 0
        assert demo.err == []


async def test_the_demo_takes_the_ports_that_it_is_given() -> None:
    """Ports of an ended demo can be taken again, and are where it says."""
    async with running("demo") as first:
        await first.line(lambda line: line.startswith("Ctrl-C"))
        ports = [re.findall(r":(\d+)", line)[0] for line in first.out[:4]]
        first.send(SIGINT)
        assert await first.ended() == 0
    flags = ("--port", "--upstream-port", "--admin-port", "--platform-port")
    words = [word for pair in zip(flags, ports, strict=True) for word in pair]
    async with running("demo", *words) as second:
        await second.line(lambda line: line.startswith("Ctrl-C"))
        assert [re.findall(r":(\d+)", line)[0] for line in second.out[:4]] == ports
