"""What a webhook's URL may be."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sidecar.local_platform.webhook_wire import WebhookBody


def body(url: str) -> WebhookBody:
    """A registration."""
    return WebhookBody.model_validate_json(json.dumps({"url": url, "event_types": ["*"]}))


@pytest.mark.parametrize("url", ["http://a", "https://a.b:8080/c?d=e", "http://[::1]:1/"])
def test_an_http_url_with_a_host_is_taken(url: str) -> None:
    """Word for word."""
    assert body(url).url == url


@given(st.text(max_size=20).map("http://".__add__))
def test_arbitrary_text_after_the_scheme_is_taken_only_with_a_host(url: str) -> None:
    """A letter or a digit comes first; white space never comes."""
    first = url.removeprefix("http://")[:1]
    if first.isascii() and first.isalnum():
        assert not any(character.isspace() for character in _taken(url))
    else:
        assert _taken(url) == ""


@pytest.mark.parametrize("url", ["http://ann:secret@a/", "http://a\n", "http://a/ä", "HTTP://a"])
def test_what_would_be_read_in_two_ways_is_refused(url: str) -> None:
    """Userinfo, line ends, other alphabets, another case of the scheme."""
    assert _taken(url) == ""


def _taken(url: str) -> str:
    try:
        return body(url).url
    except ValidationError:
        return ""
