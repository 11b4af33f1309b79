"""What is asked about, out of the requests of forwarding programs."""

from __future__ import annotations

import pytest

from sidecar.frontends.questions import CallQuestion, read_question
from sidecar.http1.heads import RequestHead, parse_request


def head(target: str, *lines: str, method: str = "GET") -> RequestHead:
    """Parse a head."""
    text = "\r\n".join([f"{method} {target} HTTP/1.1", "host: authz", *lines, "", ""])
    return parse_request(text.encode(), max_fields=100)


def asked(*given: str, target: str = "/forward-auth", body: bool = False) -> CallQuestion:
    """Read a question that is one."""
    found = read_question(head(target, *given, method="POST"), has_body=body)
    assert isinstance(found, CallQuestion), found
    return found


def test_traefik_and_caddy_ask_by_x_forwarded() -> None:
    """Their fields, and those of the check itself, are not the call's; its host is."""
    found = asked(
        "x-forwarded-method: PUT", "x-forwarded-uri: /a%20b?c=d", "x-forwarded-host: shop",
        "content-length: 0", "cookie: bb_at=x",
    )  # fmt: skip
    assert (found.of_nginx, found.method, found.target) == (False, "PUT", "/a%20b?c=d")
    assert found.headers == [(b"cookie", b"bb_at=x"), (b"host", b"shop")]


def test_nginx_asks_by_x_original() -> None:
    """What a client sends of the other kind does not count."""
    found = asked(
        "x-original-method: PUT", "x-original-uri: /chat", "x-forwarded-uri: /free",
        target="/forward-auth?for=nginx",
    )  # fmt: skip
    assert (found.of_nginx, found.target) == (True, "/chat")


def test_ingress_nginx_asks_by_the_whole_url() -> None:
    """What a client sends as X-Original-URI is passed on by it, and does not count."""
    found = asked(
        "x-original-method: PUT", "x-original-url: https://shop:8443/chat?x=http://a/b",
        "x-original-uri: /free", "x-forwarded-uri: /free", "cookie: bb_at=x",
        target="/forward-auth?for=ingress-nginx",
    )  # fmt: skip
    assert (found.of_nginx, found.method, found.target) == (True, "PUT", "/chat?x=http://a/b")
    assert found.headers == [(b"cookie", b"bb_at=x"), (b"host", b"shop:8443")]


def test_nginx_may_ask_without_a_name() -> None:
    """Its fields count where none of the others is there."""
    found = asked("x-original-method: PUT", "x-original-uri: /chat")
    assert (found.method, found.target) == ("PUT", "/chat")


@pytest.mark.parametrize("body", [True, False])
def test_envoy_asks_with_the_calls_own_path(body: bool) -> None:  # noqa: FBT001 - a parameter
    """Its length says something only where the body comes too."""
    found = asked("content-length: 3", target="/envoy/chat?x=1", body=body)
    assert (found.of_nginx, found.method, found.target) == (False, "POST", "/chat?x=1")
    assert ((b"content-length", b"3") in found.headers) is body


@pytest.mark.parametrize(
    ("target", "lines"),
    [
        ("/", []),
        ("/forward-authority", ["x-forwarded-method: GET", "x-forwarded-uri: /"]),
        ("/envoy", []),
        ("/forward-auth", ["x-forwarded-method: GET"]),
        ("/forward-auth", ["x-forwarded-uri: /"]),
        ("/forward-auth", ["x-forwarded-method: post", "x-forwarded-uri: /chat"]),
        ("/forward-auth", ["x-forwarded-method: GET", "x-forwarded-uri: chat"]),
        ("/forward-auth", ["x-forwarded-method: GET", "x-forwarded-uri: http://a/chat"]),
        ("/forward-auth", ["x-forwarded-method: GET", "x-forwarded-uri: /a b"]),
        ("/forward-auth", ["x-original-method: GET", "x-original-uri: /", "x-forwarded-uri: /b"]),
        (
            "/forward-auth",
            [
                "x-original-method: POST",
                "x-original-uri: /chat",
                "x-forwarded-method: GET",
                "x-forwarded-uri: /free",
            ],
        ),
        ("/forward-auth?for=nginx", ["x-forwarded-method: GET", "x-forwarded-uri: /"]),
        ("/forward-auth?for=ingress-nginx", ["x-original-method: GET", "x-original-uri: /"]),
        ("/forward-auth?for=ingress-nginx", ["x-original-url: http://a/"]),
        ("/forward-auth?for=ingress-nginx", ["x-original-method: GET", "x-original-url: /free"]),
        (
            "/forward-auth?for=ingress-nginx",
            ["x-original-method: GET", "x-original-url: http://a/", "x-original-url: http://a/b"],
        ),
        (
            "/forward-auth",
            ["x-forwarded-method: GET", "x-forwarded-uri: /", "x-forwarded-uri: /b"],
        ),
    ],
)
def test_what_is_no_question_says_why(target: str, lines: list[str]) -> None:
    """A field that comes twice could be read in two ways."""
    assert isinstance(read_question(head(target, *lines), has_body=False), str)
