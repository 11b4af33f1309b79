from __future__ import annotations

import threading
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.unit.commands.conftest import PRODUCT, Ran, Run

POLICY = "version: 1\nproduct: {product}\nroutes: [{{name: a, match: {{path: /a}}, meter: {{}}}}]\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The product's policy."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(product=PRODUCT))
    return path


class NothingHere(BaseHTTPRequestHandler):
    """404, whatever is asked and by whom."""

    def answer(self) -> None:
        """Read what was sent, and have nothing."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Write nothing to stderr."""


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """The URL of a web server that is not the platform."""
    with ThreadingHTTPServer(("127.0.0.1", 0), NothingHere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def lines(ran: Ran) -> dict[str, Any]:
    """Return the findings by what was looked at."""
    return {each["check"]: each for each in ran.json()}


def test_all_is_well(run: Run, policy: Path) -> None:
    """Exit 0; what needs a flag to be looked at is not called ok."""
    ran = run("doctor", "--policy", str(policy), "--json")
    assert ran.status == 0
    looked_at = ("bbas_ key", "bbk_ key", "key set", "clocks", "openapi", "product")
    left = ("upstream", "token", "trusted proxies")
    assert {check: each["level"] for check, each in lines(ran).items()} == {
        **dict.fromkeys(looked_at, "ok"), **dict.fromkeys(left, "not checked"),
    }  # fmt: skip
    assert "ok, 3 not checked" in run("doctor", "--policy", str(policy)).out


def test_a_misspelt_variable_is_a_warning(run: Run, policy: Path) -> None:
    """With the nearest one that is a setting."""
    ran = run("doctor", "--policy", str(policy), "--json", SIDECAR_ISUER="https://auth.test")
    found = lines(ran)["settings"]
    assert (ran.status, found["level"]) == (0, "warning")
    assert "SIDECAR_ISUER" in found["text"]
    assert found["hint"] == "did you mean SIDECAR_ISSUER?"


def test_it_consumes_nothing(run: Run, policy: Path) -> None:
    """A diagnosis costs no org anything."""
    before = run("quota", "breakdown", "--json").json()
    run("doctor", "--policy", str(policy))
    assert run("quota", "breakdown", "--json").json() == before


@pytest.mark.parametrize(
    ("environ", "check"),
    [
        ({"PLATFORM_INTERNAL_KEY": "bbas_wrong"}, "bbas_ key"),
        ({"PLATFORM_INTERNAL_KEY": ""}, "bbas_ key"),
        ({"BIZBASICS_API_KEY": "bbk_wrong"}, "bbk_ key"),
        ({"PRODUCT_SLUG": "no-such-product"}, "catalog"),
        ({"PRODUCT_SLUG": "other-app"}, "product"),
    ],
)
def test_what_has_to_be_mended_is_a_failure(run: Run, environ: dict[str, str], check: str) -> None:
    """With the fix, and exit 1."""
    ran = run("doctor", "--json", **environ)
    found = lines(ran)[check]
    assert (ran.status, found["level"]) == (1, "failure")
    assert found["hint"]


def test_what_cannot_be_looked_at_is_not_called_ok(run: Run, elsewhere: str, policy: Path) -> None:
    """Neither clocks nor fields are known where no answer came, nor the product without a key."""
    away = {"PLATFORM_API_URL": elsewhere, "AUTH_SERVICE_URL": elsewhere}
    ran = run("doctor", "--policy", str(policy), "--json", PLATFORM_INTERNAL_KEY="", **away)
    found = lines(ran)
    assert {found[check]["level"] for check in ("clocks", "openapi", "product")} == {"not checked"}


def test_in_a_container_it_has_the_settings_of_the_sidecar(run: Run, policy: Path) -> None:
    """`kubectl exec … -- bb-sidecar doctor` needs no flag."""
    environ = {
        "SIDECAR_POLICY": str(policy), "SIDECAR_UPSTREAM": "http://127.0.0.1:9",
        "SIDECAR_TRUSTED_PROXIES": "10.0.0.0/8",
    }  # fmt: skip
    found = lines(run("doctor", "--json", **environ))
    assert found["product"]["level"] == "ok"
    assert "connect" in found["upstream"]["text"]
    assert "10.0.0.0/8" in found["trusted proxies"]["text"]


def test_without_an_orgs_key_all_can_be_well(run: Run) -> None:
    """It is needed for notices alone."""
    ran = run("doctor", "--json", BIZBASICS_API_KEY="")
    assert (ran.status, lines(ran)["bbk_ key"]["level"]) == (0, "not checked")


def test_a_key_that_cannot_read_is_a_warning(run: Run) -> None:
    """It may publish all the same."""
    ran = run("doctor", "--json", BIZBASICS_API_KEY="bbk_writes_only")
    assert (ran.status, lines(ran)["bbk_ key"]["level"]) == (0, "warning")


def test_notices_without_an_orgs_key_are_a_warning(run: Run, policy: Path) -> None:
    """The sidecar starts, and tells nobody."""
    policy.write_text(f"{policy.read_text()}notices: {{at: [80]}}\n")
    ran = run("doctor", "--policy", str(policy), "--json", BIZBASICS_API_KEY="")
    assert (ran.status, lines(ran)["bbk_ key"]["level"]) == (0, "warning")


def test_without_a_policy_there_is_nothing_to_compare_with(run: Run) -> None:
    """And the line says how to have it compared."""
    found = lines(run("doctor", "--json"))["product"]
    assert found["level"] == "not checked"
    assert "--policy" in found["hint"]


def test_another_web_server_is_not_taken_for_the_platform(run: Run, elsewhere: str) -> None:
    """It answers 404 to a good key, and to any other."""
    ran = run("doctor", "--json", PLATFORM_API_URL=elsewhere)
    found = lines(ran)["bbas_ key"]
    assert (ran.status, found["level"]) == (1, "failure")
    assert "PLATFORM_API_URL" in found["hint"]


def test_a_policy_that_cannot_be_used_is_a_failure(run: Run, policy: Path) -> None:
    """The command that shows every problem is the fix."""
    policy.write_text("version: 1\n")
    ran = run("doctor", "--policy", str(policy), "--json")
    assert lines(ran)["policy"]["hint"].startswith("`bb-sidecar check")
    assert lines(ran)["product"]["hint"] == "fix `policy`"


def test_with_a_bad_key_the_product_is_not_compared(run: Run, policy: Path) -> None:
    """The hint is the key, not a second refusal."""
    ran = run("doctor", "--policy", str(policy), "--json", PLATFORM_INTERNAL_KEY="bbas_wrong_0123")
    assert lines(ran)["product"]["level"] == "not checked"
    assert lines(ran)["product"]["hint"] == "fix `bbas_ key`"


def test_no_key_is_on_the_page(run: Run, policy: Path) -> None:
    """People paste it into tickets."""
    ran = run("doctor", "--policy", str(policy), PLATFORM_INTERNAL_KEY="bbas_secret_0123")
    assert "secret_0123" not in ran.out + ran.err


def test_a_platform_that_is_away(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line says so; nothing is thrown."""
    away = "http://127.0.0.1:9"
    monkeypatch.setattr("sidecar.client.retrying.Backoff.wait", lambda *_: 100.0)
    ran = run("doctor", "--json", PLATFORM_API_URL=away, AUTH_SERVICE_URL=away)
    assert ran.status == 1
    assert lines(ran)["key set"]["level"] == "failure"


def test_a_url_in_clear_text_is_a_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the fix; whether anything answers there is another line's to say."""
    monkeypatch.setattr("sidecar.client.retrying.Backoff.wait", lambda *_: 100.0)
    ran = run("doctor", "--json", AUTH_SERVICE_URL="http://nowhere.invalid")
    found = lines(ran)["settings"]
    assert (found["level"], found["text"]) == (
        "warning",
        "http://nowhere.invalid is not encrypted",
    )
    assert "--auth-url" in found["hint"]


def test_a_proxy_is_named_without_its_password(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is used, and what is not."""
    monkeypatch.setattr("sidecar.client.retrying.Backoff.wait", lambda *_: 100.0)
    away = {"AUTH_SERVICE_URL": "https://nowhere.invalid"}
    ran = run("doctor", "--json", https_proxy="http://user:secret@127.0.0.1:9", **away)
    assert lines(ran)["proxy"]["text"] == "http://127.0.0.1:9, from the environment"
    assert "secret" not in ran.out + ran.err
    ran = run("doctor", "--json", https_proxy="socks5://user:secret@127.0.0.1:9", **away)
    assert lines(ran)["settings"]["text"].startswith("HTTPS_PROXY is set and not used")
    assert "secret" not in ran.out + ran.err
