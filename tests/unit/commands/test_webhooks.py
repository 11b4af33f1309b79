from __future__ import annotations

import stat
from pathlib import Path

from tests.unit.commands.conftest import Run

URL = "http://127.0.0.1:9/hook"


def test_a_secret_is_shown_once(run: Run) -> None:
    """There is no other way to learn it."""
    told = run("webhooks", "register", URL, "--event", "org.created", "--json").json()
    assert told["secret"].startswith("whsec_")
    assert told["event_types"] == ["org.created"]


def test_a_secret_can_be_kept_in_a_file(run: Run, tmp_path: Path) -> None:
    """Which only its owner reads; it is shown nowhere then."""
    path = tmp_path / "secret"
    ran = run("webhooks", "register", URL, "--secret-file", str(path))
    assert path.read_text().startswith("whsec_")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "whsec_" not in ran.out


def test_a_file_that_is_there_is_left_alone(run: Run, tmp_path: Path) -> None:
    """Before the platform is asked: a secret that cannot be kept would be lost."""
    path = tmp_path / "secret"
    path.write_text("mine")
    ran = run("webhooks", "register", URL, "--secret-file", str(path))
    assert (ran.status, path.read_text()) == (2, "mine")
    assert "is there already" in ran.err


def test_a_folder_that_is_not_there(run: Run, tmp_path: Path) -> None:
    """The same."""
    ran = run("webhooks", "register", URL, "--secret-file", str(tmp_path / "no" / "secret"))
    assert (ran.status, "cannot be written" in ran.err) == (2, True)


def test_a_test_is_delivered_and_listed(run: Run) -> None:
    """By the ID that registering returned."""
    webhook = run("webhooks", "register", URL, "--json").json()
    delivery = run("webhooks", "test", webhook["id"], "--json").json()["delivery_id"]
    listed = run("webhooks", "deliveries", "--json").json()
    assert delivery in {each["id"] for each in listed}
    assert "webhook.test" in run("webhooks", "deliveries").out


def test_requests(run: Run) -> None:
    """Newest first."""
    run("catalog")
    assert run("requests", "--limit", "1", "--json").json()[0]["path"] == "/v1/catalog"
    assert "/v1/catalog" in run("requests").out


def test_what_is_no_url_is_refused_in_words(run: Run) -> None:
    """Before the platform is asked, and without a pattern."""
    ran = run("webhooks", "register", "notaurl")
    assert ran.status == 2
    assert "'notaurl' is not a URL: give one such as https://product.example/hook" in ran.err
