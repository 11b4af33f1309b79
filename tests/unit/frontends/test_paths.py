"""Paths that a server has decoded: decided on as the framework may read them."""

from __future__ import annotations

import pytest

from sidecar.domain.model import Call, RequestIdOrigin
from sidecar.frontends.paths import paths_of, raw_path, strictest
from sidecar.policy.load import load_policy
from tests.fakes.doors import policy


def call(path: str) -> Call:
    """Make a call of a decoded path."""
    return Call("POST", raw_path(path), "", [], "id", RequestIdOrigin.GENERATED)


@pytest.mark.parametrize(
    ("decoded", "raw"),
    [
        ("/chat", "/chat"),
        ("/ch%61t", "/ch%2561t"),
        ("/a?b#c", "/a%3Fb%23c"),
        ("/chat\n", "/chat%0A"),
        ("/é", "/%C3%A9"),
        ("/\udcff", "/%ED%B3%BF"),
    ],
)
def test_a_decoded_path_is_written_so_that_nothing_is_decoded_twice(decoded: str, raw: str) -> None:
    """A percent sign in it is a character."""
    assert raw_path(decoded) == raw


@pytest.mark.parametrize("path", ["/chat", "/CHAT", "/chat/", "//chat", "/x/../chat"])
def test_a_metered_path_is_found_however_it_is_spelt(path: str) -> None:
    """Also in another case."""
    route = policy().route_for("POST", raw_path(path), [])
    assert getattr(route, "name", "unsafe") in {"chat", "unsafe"}


@pytest.mark.parametrize("path", ["/chat\n", "/ch%61t", "/chat\0x"])
def test_what_a_framework_could_take_for_a_metered_path_is_refused(path: str) -> None:
    """`$` of a regular expression matches before a line end."""
    assert not hasattr(policy().route_for("POST", raw_path(path), []), "name")


@pytest.mark.parametrize(
    ("path", "root", "paths"),
    [
        ("/chat", "", ("/chat",)),
        ("/chat", "/", ("/chat",)),
        ("/chat", "/api", ("/chat",)),
        ("/api/chat", "/api", ("/chat", "/api/chat")),
        ("/api", "/api", ("/", "/api")),
        ("/x/api/chat", "/api", ("/chat", "/x/api/chat")),
        ("/apichat", "/api", ("/chat", "/apichat")),
    ],
)
def test_a_prefix_is_read_as_frameworks_do(path: str, root: str, paths: tuple[str, ...]) -> None:
    """At the start, or wherever it stands."""
    assert paths_of(path, root) == paths


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["/free", "/chat"], "/chat"),
        (["/chat", "/free"], "/chat"),
        (["/chat", "/admin"], "/admin"),
        (["/nowhere", "/free"], "/free"),
        (["/chat", "/ch%61t"], "/ch%2561t"),
        (["/nowhere", "/elsewhere"], "/nowhere"),
    ],
)
def test_the_strictest_route_decides(paths: list[str], wanted: str) -> None:
    """Unsafe and denied before metered, metered before free, any before none."""
    assert strictest(policy(), [call(path) for path in paths]).path == wanted


@pytest.mark.parametrize("paths", [["/big/cheap", "/cheap"], ["/cheap", "/big/cheap"]])
def test_of_two_meters_the_first_route_decides(paths: list[str]) -> None:
    """As for one path: so no second path leads from the narrow route to one behind it."""
    text = b"""
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
defaults: {resource: ai_calls}
routes:
  - {name: big, match: {path: /big/**}, meter: {amount: 5}}
  - {name: rest, match: {path: /**}, meter: {}}
unmatched: allow
"""
    found = load_policy(text, file="policy.yaml", environ={})
    assert strictest(found, [call(path) for path in paths]).path == "/big/cheap"
