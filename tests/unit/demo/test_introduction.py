"""What the demo prints, by where its quota is checked."""

from __future__ import annotations

from sidecar.demo.introduction import DemoPlace, introduction

AT = DemoPlace(
    "http://127.0.0.1:1", "http://127.0.0.1:2/metrics", ("a product",), "http://127.0.0.1:3"
)


def test_what_a_door_does_not_have_is_not_shown() -> None:
    """No admin side, and no handler that names its cost."""
    text = introduction(AT, "token", "spent")
    assert "a product" in text
    assert "curl -s http://127.0.0.1:2/metrics | grep" in text
    assert "What is left then" not in text
    assert "/report" not in text


def test_what_a_door_has_is_shown() -> None:
    """The line of the admin side, and the call whose handler names its cost."""
    at = DemoPlace(AT.url, AT.metrics, AT.what, AT.platform, "curl -s quota", names_costs=True)
    text = introduction(at, "token", "spent")
    assert "What is left then: curl -s quota" in text
    assert "curl -si -X POST 'http://127.0.0.1:1/api/v1/report?pages=6'" in text
