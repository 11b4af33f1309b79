"""Which methods a call asks for beside its own."""

from __future__ import annotations

import pytest

from sidecar.policy.overrides import asked_methods


@pytest.mark.parametrize(
    "name",
    [
        b"x-http-method-override", b"x-http-method", b"x-method-override",
        b"x.http.method-override", b"http-method-override", b"method-override",
    ],
)  # fmt: skip
def test_every_spelling_of_the_header_is_known(name: bytes) -> None:
    """Names as frameworks have them, and as servers fold their punctuation."""
    assert asked_methods([(b"host", b"a"), (name, b" put ")], "") == {"PUT"}


def test_a_list_asks_for_each_of_its_methods() -> None:
    """Some frameworks take the first, some the last."""
    headers = [(b"x-http-method", b"put, DELETE"), (b"x-http-method", b"patch")]
    assert asked_methods(headers, "") == {"PUT", "DELETE", "PATCH"}


@pytest.mark.parametrize(
    "query",
    [
        "_method=put", "a=1&_method=PUT", "a;_method=put", "%5Fmethod=p%75t", "_method[]=put",
        "X-HTTP-Method-Override=PUT", "x_http_method_override=PUT", "_METHOD=put",
    ],
)  # fmt: skip
def test_the_query_asks_too(query: str) -> None:
    """Express, Laravel and Spring take `_method` from it."""
    assert asked_methods((), query) == {"PUT"}


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([(b"access-control-request-method", b"PUT")], ""),
        ([(b"x-payment-method", b"card")], ""),
        ([(b"x-http-method-override", b"")], ""),
        ([(b"x-http-method-override", b"P T")], ""),
        ([], "method=card&methods=a"),
        ([], "_method"),
        ([], ""),
    ],
)
def test_what_asks_for_nothing(headers: list[tuple[bytes, bytes]], query: str) -> None:
    """Other fields with a method in their name, and what is no method."""
    assert asked_methods(headers, query) == frozenset()
