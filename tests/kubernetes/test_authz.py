"""Mode `authz`: what its objects are, and that the journal of a pod that ends is settled."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGHUP, SIGKILL, SIGTERM

import httpx
import pytest

from tests.e2e.harness import CHAT, Page, Place, eventually, scrape, soon
from tests.e2e.programs import (
    SIDECAR,
    ProcessStack,
    SidecarProgram,
    process_stack,
    run,
    start,
)
from tests.free_ports import free_port
from tests.kubernetes.cases import GOOD
from tests.kubernetes.kubelet import end_pod
from tests.kubernetes.rendering import documents, only, render

WITH_JOURNAL = {**GOOD["authz"], "journal": {"enabled": True}}


def test_without_a_journal_a_deployment_answers() -> None:
    """Pods without a state of their own: a new one is ready before an old one ends."""
    spec = only(render(GOOD["authz"]), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert spec["replicas"] == 2


def test_each_pod_with_a_journal_has_a_claim_that_outlives_it() -> None:
    """Also a scale-down and the release: what is owed is on it."""
    spec = only(render(WITH_JOURNAL), "StatefulSet")["spec"]
    assert spec["persistentVolumeClaimRetentionPolicy"] == {
        "whenScaled": "Retain",
        "whenDeleted": "Retain",
    }
    (claim,) = spec["volumeClaimTemplates"]
    pod = spec["template"]["spec"]
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    env = {each["name"]: each.get("value", "") for each in pod["containers"][0]["env"]}
    assert claim["metadata"]["name"] not in {each["name"] for each in pod["volumes"]}
    assert env["SIDECAR_JOURNAL"].startswith(f"{mounts[claim['metadata']['name']]}/")


def test_what_scales_and_what_is_kept_running_is_the_workload_that_there_is() -> None:
    """The autoscaler names the kind; Services and the budget select its pods."""
    for values, kind in ((GOOD["authz"], "Deployment"), (WITH_JOURNAL, "StatefulSet")):
        made = render({**values, "authz": {"autoscaling": {"enabled": True}}})
        target = only(made, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
        workload = only(made, kind)
        assert (target["kind"], target["name"]) == (kind, workload["metadata"]["name"])
        assert "replicas" not in workload["spec"]
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        selectors = [
            each["spec"]["selector"].get("matchLabels", each["spec"]["selector"])
            for each in documents(made)
            if each["kind"] in {"Service", "PodDisruptionBudget"}
        ]
        assert len(selectors) == 3
        assert all(selector.items() <= labels for selector in selectors)


def test_the_pods_own_service_has_the_pods_ports() -> None:
    """Behind it is no translation: who finds a pod by it connects to the pod itself."""
    made = documents(render(GOOD["authz-everything"]))
    services = {
        each["spec"].get("clusterIP", "one"): each["spec"]["ports"]
        for each in made
        if each["kind"] == "Service"
    }
    assert [each["port"] for each in services["one"]] == [80, 8094]
    assert [each["port"] for each in services["None"]] == [8080, 8094]


def test_a_certificate_for_grpc_is_mounted_whole() -> None:
    """The kubelet changes it in place, and the process reads it again."""
    pod = only(render(GOOD["authz-everything"]), "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    env = {each["name"]: each.get("value", "") for each in container["env"]}
    names = ("SIDECAR_GRPC_CERT", "SIDECAR_GRPC_KEY", "SIDECAR_GRPC_CLIENT_CA")
    assert [Path(env[name]).name for name in names] == ["tls.crt", "tls.key", "ca.crt"]
    assert {str(Path(env[name]).parent) for name in names} == {mounts["bb-grpc-tls"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert volumes["bb-grpc-tls"]["secret"]["secretName"] == "quota-tls"
    assert "appProtocol" not in str(documents(render(GOOD["authz-everything"])))
    assert "kubernetes.io/h2c" in str(documents(render(GOOD["authz-ipv6"])))


def test_peers_that_may_ask_are_those_of_the_network_policy() -> None:
    """Both ports of questions, for those alone and for `helm test`."""
    questions, metrics = only(render(GOOD["authz-everything"]), "NetworkPolicy")["spec"]["ingress"]
    assert [each["port"] for each in questions["ports"]] == [8080, 8094, 9000]
    assert len(questions["from"]) == 2
    assert [each["port"] for each in metrics["ports"]] == [9902]


@contextlib.asynccontextmanager
async def pod(place: Place, journal: Path) -> AsyncIterator[SidecarProgram]:
    """Run `authz` as the pod of one number does: on its claim, at an address of its own."""
    flags = {
        "policy": place.policy_file, "http": "127.0.0.1:0", "admin": "127.0.0.1:0",
        "platform-url": place.platform_url, "auth-url": place.platform_url,
        "issuer": place.issuer, "journal": journal,
    }  # fmt: skip
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    program = await start(*SIDECAR, "authz", *words, environ=place.environ, kind=SidecarProgram)
    assert isinstance(program, SidecarProgram)
    try:
        event = await program.event("started")
        program.url, program.admin_url = event["listen"], event["admin"]
        yield program
    finally:
        await program.close()


async def ask(s: ProcessStack, program: SidecarProgram, calls: int) -> None:
    """Ask about calls that pass without an answer of the platform."""
    call = {"x-forwarded-method": "POST", "x-forwarded-uri": CHAT, **s.cookie()}
    async with httpx.AsyncClient(base_url=program.url, headers=call, timeout=20.0) as client:
        for _ in range(calls):
            answer = await client.get("/forward-auth")
            assert (answer.status_code, answer.headers["x-quota-decision"]) == (200, "fail_open")


@pytest.mark.parametrize("end", ["scaled down", "killed"])
async def test_the_next_pod_of_a_number_settles_what_the_one_before_owed(
    tmp_path: Path, end: str
) -> None:
    """Units of an outage that outlasts a pod are charged when it comes back, each once."""
    async with process_stack() as s:
        await s.program.close()
        async with pod(s.place, tmp_path / "journal") as first:
            await s.fault(status=500)
            await ask(s, first, 7)
            if end == "killed":
                first.send(SIGKILL)
                await first.ended()
            else:
                assert await end_pod(first, after=0) == 0
        assert s.charges() == 0
        await s.fault()
        async with pod(s.place, tmp_path / "journal") as second:
            await soon(s.charges, lambda units: units == 7)

            async def page() -> Page:
                return await scrape(second.admin_url)

            owed = await eventually(page, lambda page: not page.sum("journal_pending_units"))
            assert owed.sum("journal_dropped_units_total") == 0
            assert await end_pod(second, after=0) == 0
        assert s.charges() == 7


async def test_the_environment_of_a_pod_starts_it_and_its_hook_drains_it(tmp_path: Path) -> None:
    """With gRPC and a journal: ready on the port of the probes, unready after the hook."""
    values = {**WITH_JOURNAL, "authz": {"grpc": {"enabled": True}}}
    pod = only(render(values), "StatefulSet")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = {each["name"]: each["value"] for each in container["env"] if "value" in each}
    ports = {name: free_port() for name in ("HTTP", "GRPC", "ADMIN", "METRICS")}
    async with process_stack() as s:
        await s.program.close()
        environ = {
            **s.place.environ,
            **given,
            **{f"SIDECAR_{name}": f"127.0.0.1:{port}" for name, port in ports.items()},
            "SIDECAR_POLICY": str(s.place.policy_file),
            "SIDECAR_ADMIN_SOCKET": str(tmp_path / "admin.sock"),
            "SIDECAR_JOURNAL": str(tmp_path / "journal"),
            "PLATFORM_API_URL": s.place.platform_url,
            "AUTH_SERVICE_URL": s.place.platform_url,
            "SIDECAR_ISSUER": s.place.issuer,
        }
        del environ["SIDECAR_KEY_FILE"]  # the key itself is in a variable here
        program = await start(*SIDECAR, *container["args"], environ=environ, kind=SidecarProgram)
        assert isinstance(program, SidecarProgram)
        try:
            await program.event("started")
            program.url = f"http://127.0.0.1:{ports['HTTP']}"
            probed = f"http://127.0.0.1:{ports['METRICS']}{container['readinessProbe']['httpGet']['path']}"
            async with httpx.AsyncClient() as client:

                async def ready() -> int:
                    return (await client.get(probed)).status_code

                await eventually(ready, lambda status: status == 200)
                hook = container["lifecycle"]["preStop"]["exec"]["command"][1:]
                words = [environ["SIDECAR_ADMIN_SOCKET"] if "/" in word else word for word in hook]
                status, _, err = await run(*words[:-1], "0")
                assert (status, err) == (0, "")
                assert await ready() == 503
            program.send(SIGTERM)
            assert await program.ended() == 0
        finally:
            await program.close()


async def test_a_pod_that_is_not_wanted_any_more_ends_in_the_middle_of_its_start(
    tmp_path: Path,
) -> None:
    """Also as process 1, which no signal ends by itself; a reload is none then."""
    fifo = tmp_path / "policy.yaml"
    os.mkfifo(fifo)
    environ = {"PLATFORM_INTERNAL_KEY": "bbas_x", "SIDECAR_POLICY": str(fifo)}
    program = await start(*SIDECAR, "authz", environ=environ)
    try:
        # Opens only when the process reads: it has begun, and its signals are set.
        descriptor = await asyncio.to_thread(os.open, fifo, os.O_WRONLY)
        program.send(SIGHUP)
        program.send(SIGTERM)
        assert await program.ended() == 0
        os.close(descriptor)
    finally:
        await program.close()
