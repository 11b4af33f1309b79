from __future__ import annotations

import dataclasses
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, UnixConnector

from sidecar.admin.server import AdminServer
from sidecar.admin.state import AdminView, Refresh, ReloadReport
from sidecar.domain.errors import UserError
from sidecar.domain.quota import Quota
from tests.e2e.harness import KEY, Place, policy
from tests.fakes.admin import BrokenState, StaticMetrics, StaticState

ACME = Quota("ai_calls", limit=25, used=12, remaining=13, period="month", reset_at=1_761_955_200.0)


class Admin:
    """A running admin port and a client for it."""

    def __init__(self, state: StaticState, refresh: Refresh | None = None) -> None:
        self.state = state
        self.server = AdminServer(state, StaticMetrics(), refresh=refresh)

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> tuple[int, object, dict[str, str]]:
        """Return status, body (JSON where it is) and header fields of one request."""
        host, port = self.server.address
        async with (
            ClientSession() as session,
            session.request(method, f"http://{host}:{port}{path}", headers=headers) as answer,
        ):
            is_json = answer.content_type == "application/json" and method != "HEAD"
            body = await answer.json() if is_json else await answer.text()
            return answer.status, body, dict(answer.headers)


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    """An admin port over a state that stands still."""
    running = Admin(StaticState())
    await running.server.start("127.0.0.1", 0)
    yield running
    await running.server.close()


async def test_health_is_200_as_soon_as_the_process_is_up(admin: Admin) -> None:
    """Also while it drains: it must not be killed for that."""
    admin.state.now = dataclasses.replace(admin.state.now, draining=True)
    assert (await admin.ask("GET", "/health"))[:2] == (200, {"status": "ok"})


async def test_health_is_503_where_only_a_restart_helps(admin: Admin) -> None:
    """With the reason, for who reads the pod's events."""
    admin.state.failed = "no worker serves since then"
    assert (await admin.ask("GET", "/health"))[:2] == (
        503, {"status": "failed", "detail": "no worker serves since then"},
    )  # fmt: skip


async def test_ready_tells_each_dependency(admin: Admin) -> None:
    """A detail for each, as the interface says."""
    status, body, _ = await admin.ask("GET", "/ready")
    assert status == 200
    assert body == {
        "ready": True,
        "dependencies": {
            "drain": {"ok": True, "detail": "serving"},
            "policy": {"ok": True, "detail": "in force"},
            "keys": {"ok": True, "detail": "1 trusted"},
            "platform": {"ok": True, "detail": "not yet asked"},
            "journal": {"ok": True, "detail": "writable"},
            "tokens": {"ok": True, "detail": "none seen yet"},
            "upstream": {"ok": True, "detail": "not yet asked"},
        },
    }


async def test_unready_is_503(admin: Admin) -> None:
    """So that a probe sees it without reading."""
    admin.state.now = dataclasses.replace(admin.state.now, draining=True)
    assert (await admin.ask("GET", "/ready"))[0] == 503


async def test_metrics_are_in_the_format_that_is_asked_for(admin: Admin) -> None:
    """The Accept field reaches the page."""
    _, body, headers = await admin.ask("GET", "/metrics", {"Accept": "text/x-some"})
    assert (body, headers["Content-Type"]) == (
        "text/x-some", "text/plain; version=0.0.4; charset=utf-8",
    )  # fmt: skip


async def test_metrics_name_their_coding(admin: Admin) -> None:
    """Accept-Encoding reaches the page; what the page is packed with reaches the answer."""
    _, _, headers = await admin.ask("GET", "/metrics", {"Accept-Encoding": "identity"})
    assert (headers["Content-Encoding"], headers["Vary"]) == ("identity", "Accept, Accept-Encoding")


async def test_policy_shows_what_is_in_force(admin: Admin) -> None:
    """As its owner describes it."""
    assert (await admin.ask("GET", "/policy"))[1] == {"product": "acme-notes", "version": 1}


async def test_quota_shows_what_is_known_of_each_org(admin: Admin) -> None:
    """In the words of the platform's own status."""
    admin.state.quotas = [("org_acme", ACME)]
    assert (await admin.ask("GET", "/quota"))[1] == {
        "orgs": {
            "org_acme": {
                "ai_calls": {
                    "used": 12,
                    "limit": 25,
                    "remaining": 13,
                    "period": "month",
                    "reset_at": "2025-11-01T00:00:00Z",
                }
            }
        }
    }


async def test_quota_of_one_org_can_be_asked_for(admin: Admin) -> None:
    """Among thousands."""
    admin.state.quotas = [("org_acme", ACME), ("org_b", ACME)]
    _, body, _ = await admin.ask("GET", "/quota?org_id=org_b")
    assert isinstance(body, dict)
    assert list(body["orgs"]) == ["org_b"]


async def test_a_reset_beyond_the_calendar_is_null(admin: Admin) -> None:
    """A number no date can hold is not worth a fault."""
    admin.state.quotas = [("o", dataclasses.replace(ACME, reset_at=1e20))]
    _, body, _ = await admin.ask("GET", "/quota")
    assert isinstance(body, dict)
    assert body["orgs"]["o"]["ai_calls"]["reset_at"] is None


async def test_reload_tells_its_outcome(admin: Admin) -> None:
    """Read once, at once."""
    assert (await admin.ask("POST", "/reload"))[:2] == (200, {"outcome": "loaded"})
    assert admin.state.reloads == 1


async def test_a_rejected_reload_is_422_with_every_problem(admin: Admin) -> None:
    """So that a pipeline fails on it."""
    admin.state.report = ReloadReport("rejected", problems=("p.yaml:1:1: bad",))
    status, body, _ = await admin.ask("POST", "/reload")
    assert (status, body) == (
        422,
        {
            "detail": "the policy was rejected, the last good one stays in force",
            "outcome": "rejected",
            "problems": ["p.yaml:1:1: bad"],
        },
    )


async def test_drain_begins_the_end(admin: Admin) -> None:
    """202: it is not over when this is answered."""
    assert (await admin.ask("POST", "/drain"))[:2] == (202, {"draining": True})
    assert admin.state.drains == 1


@pytest.mark.parametrize("path", ["/reload", "/drain"])
@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD"])
async def test_only_post_changes_state(admin: Admin, method: str, path: str) -> None:
    """A link or a prefetch must not drain anything."""
    status, _, headers = await admin.ask(method, path)
    assert (status, headers["Allow"]) == (405, "POST")
    assert (admin.state.reloads, admin.state.drains) == (0, 0)


GUARDED = [("POST", "/reload"), ("POST", "/drain"), ("GET", "/quota"), ("GET", "/policy")]


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("host", ["evil.example", "evil.example:9901", "127.0.0.1.evil.example"])
async def test_a_host_of_another_name_is_refused(
    admin: Admin, method: str, path: str, host: str
) -> None:
    """A page whose name was made to lead to this machine neither changes nor reads (rebinding)."""
    status, body, _ = await admin.ask(method, path, {"Host": host})
    assert status == 403
    assert "Host" in str(body)
    assert (admin.state.reloads, admin.state.drains) == (0, 0)


@pytest.mark.parametrize(("method", "path"), GUARDED)
@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "[::1]:9901"])
async def test_a_host_that_is_this_machine_is_answered(
    admin: Admin, method: str, path: str, host: str
) -> None:
    """By any port: it may be a forwarded one."""
    assert (await admin.ask(method, path, {"Host": host}))[0] in {200, 202}


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_probes_and_scrapers_come_by_any_host(admin: Admin, path: str) -> None:
    """They come from other machines, by the pod's address or a name."""
    assert (await admin.ask("GET", path, {"Host": "10.0.0.7:9901"}))[0] == 200


async def test_a_socket_takes_changes_alone(admin: Admin, tmp_path: Path) -> None:
    """Of mode 0600; from then on the admin port refuses changes, and still shows what it shows."""
    path = tmp_path / "admin.sock"
    await admin.server.start_socket(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for change in ("/reload", "/drain"):
        status, body, _ = await admin.ask("POST", change)
        assert (status, "--admin-socket" in str(body)) == (403, True)
    assert (await admin.ask("GET", "/quota"))[0] == 200
    assert (admin.state.reloads, admin.state.drains) == (0, 0)
    async with ClientSession(connector=UnixConnector(str(path))) as session:
        for change, expected in (("/reload", 200), ("/drain", 202)):
            async with session.post(f"http://any{change}") as answer:
                assert answer.status == expected
    assert (admin.state.reloads, admin.state.drains) == (1, 1)
    await admin.server.close()
    assert not path.exists()


async def test_the_port_for_scrapers_serves_nothing_else(admin: Admin) -> None:
    """Neither a change, nor what names orgs beside the metrics, nor the policy."""
    await admin.server.start_metrics("127.0.0.1", 0)
    assert admin.server.metrics_address is not None
    host, port = admin.server.metrics_address
    async with ClientSession() as session:
        for path in ("/metrics", "/health", "/ready"):
            async with session.get(f"http://{host}:{port}{path}") as answer:
                assert answer.status == 200
        for method, path in GUARDED:
            async with session.request(method, f"http://{host}:{port}{path}") as answer:
                assert answer.status == 404
    assert admin.server.urls() == {
        "admin": "http://{}:{}".format(*admin.server.address), "metrics": f"http://{host}:{port}"
    }  # fmt: skip


async def test_it_opens_what_the_settings_say(tmp_path: Path) -> None:
    """And nothing stays open where one of them cannot be had."""
    path = tmp_path / "admin.sock"
    policy_file = tmp_path / "policy.yaml"
    policy_file.write_text(policy())
    place = Place(policy_file, *("http://127.0.0.1:9",) * 3, {"PLATFORM_INTERNAL_KEY": KEY})
    server = AdminServer(StaticState(), StaticMetrics())
    await server.open(place.settings(admin_socket=path, metrics="127.0.0.1:0").admin)
    assert path.exists()
    assert server.metrics_address is not None
    taken = "{}:{}".format(*server.address)
    second = AdminServer(StaticState(), StaticMetrics())
    with pytest.raises(UserError, match="--admin: "):
        await second.open(place.settings(admin=taken, admin_socket=tmp_path / "second.sock").admin)
    assert not (tmp_path / "second.sock").exists()
    await server.close()


async def test_what_is_shown_is_brought_up_to_date_and_nothing_else_waits() -> None:
    """Health, drain, reload and policy wait for no worker."""
    asked: list[AdminView] = []

    async def refresh(view: AdminView) -> None:
        asked.append(view)

    running = Admin(StaticState(), refresh)
    await running.server.start("127.0.0.1", 0)
    for method, path in [("GET", "/health"), *GUARDED]:
        await running.ask(method, path)
    assert asked == [AdminView.QUOTAS]
    await running.ask("GET", "/ready")
    await running.ask("GET", "/metrics")
    assert asked == [AdminView.QUOTAS, AdminView.CONDITION, AdminView.COUNTS]
    await running.server.close()


@pytest.mark.parametrize("path", ["/reload", "/drain"])
@pytest.mark.parametrize("name", ["Origin", "X-Forwarded-For"])
async def test_a_page_or_a_proxy_changes_nothing(admin: Admin, path: str, name: str) -> None:
    """Refused as 403, and nothing done."""
    status, _, _ = await admin.ask("POST", path, {name: "http://evil.example"})
    assert status == 403
    assert (admin.state.reloads, admin.state.drains) == (0, 0)


def own_address() -> str | None:
    """Return an address of this machine that is not loopback, if it has one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            return None
        address = probe.getsockname()[0]
    return None if address.startswith("127.") else str(address)


async def test_a_caller_from_elsewhere_changes_nothing() -> None:
    """The socket's own peer counts: here this machine under its outer address."""
    address = own_address()
    running = Admin(StaticState())
    await running.server.start(address or "127.0.0.1", 0)
    status, _, _ = await running.ask("POST", "/drain")
    await running.server.close()
    assert (status, running.state.drains) == ((202, 1) if address is None else (403, 0))


@pytest.mark.parametrize(("method", "status"), [("GET", 404), ("POST", 404), ("DELETE", 404)])
async def test_an_unknown_path_is_404_in_json(admin: Admin, method: str, status: int) -> None:
    """Every error has a detail."""
    assert (await admin.ask(method, "/nothing"))[:2] == (status, {"detail": "Not Found"})


async def test_a_fault_tells_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    """Its text may hold what must not be seen; the log has it."""
    running = Admin(BrokenState())
    await running.server.start("127.0.0.1", 0)
    status, body, _ = await running.ask("GET", "/policy")
    await running.server.close()
    assert (status, body) == (500, {"detail": "a fault of the sidecar: its log has it"})
    assert caplog.records[0].message == "admin_fault"


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/nothing"])
async def test_no_answer_is_kept_or_names_a_version(admin: Admin, path: str) -> None:
    """Neither the library's nor ours."""
    _, _, headers = await admin.ask("GET", path)
    assert (headers["Cache-Control"], headers["Server"]) == ("no-store", "bb-sidecar")


async def test_an_address_that_is_taken_is_the_user_s_to_fix(admin: Admin) -> None:
    """One line, no traceback."""
    host, port = admin.server.address
    second = AdminServer(StaticState(), StaticMetrics())
    with pytest.raises(UserError, match=f"--admin: {host}:{port} is in use"):
        await second.start(host, port)


async def test_closing_twice_is_closing_once(admin: Admin) -> None:
    """A shutdown may come from two sides."""
    await admin.server.close()
    await admin.server.close()
    with pytest.raises(RuntimeError, match="not been started"):
        _ = admin.server.address
