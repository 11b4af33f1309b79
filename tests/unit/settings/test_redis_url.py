"""What the URL of a Redis may hold, and what is said where it does not."""

from __future__ import annotations

import pytest

from sidecar.settings.redis_url import RedisTls, RedisUrl, parse_redis_url


def url(**given: object) -> RedisUrl:
    """Make what `redis://h` means, but for these fields."""
    plain = {
        "host": "h", "port": 6379, "path": "", "username": "", "password": "", "database": 0,
        "client_name": "", "tls": None,
    }  # fmt: skip
    return RedisUrl(**{**plain, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("redis://h", url()),
        ("redis://h:7000/3", url(port=7000, database=3)),
        ("redis://h/?db=3", url(database=3)),
        ("redis://h/1?db=3&db=4", url(database=3)),
        ("redis://[::1]:7000", url(host="::1", port=7000)),
        ("redis://:p%23%2F%40%25@h", url(password="p#/@%")),
        ("redis://:p@w@h", url(password="p@w")),
        ("redis://user@h", url(username="user")),
        ("redis://h?username=u&password=p@w", url(username="u", password="p@w")),
        ("redis://h?client_name=me", url(client_name="me")),
        ("redis://h?socket_timeout=1&decode_responses=True&max_connections=9", url()),
        ("unix:///r.sock?password=p", url(host="", path="/r.sock", password="p")),
        ("rediss://h", url(tls=RedisTls())),
        ("rediss://h?ssl_check_hostname=False", url(tls=RedisTls(check_hostname=False))),
        ("rediss://h?ssl_cert_reqs=none", url(tls=RedisTls(verify=False, check_hostname=False))),
        ("rediss://h?ssl_ca_certs=%2Fca", url(tls=RedisTls(ca_file="/ca"))),
    ],
)  # fmt: skip
def test_an_url_is_read(text: str, meant: RedisUrl) -> None:
    """Each part of it, decoded."""
    assert parse_redis_url(text) == meant


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("redis://h?tls=true", "unknown parameter 'tls': write rediss:// for TLS"),
        ("redis://h?cluster=", "unknown parameter 'cluster': known: db, username, password"),
        ("rediss://h?ssl_ciphers=x", "unknown parameter 'ssl_ciphers'"),
        ("redis://h?ssl_certfile=x", "'ssl_certfile', which needs rediss://"),
        ("rediss://h?ssl_cert_reqs=maybe", "'ssl_cert_reqs'"),
        ("rediss://h?ssl_check_hostname=maybe", "'ssl_check_hostname'"),
        ("rediss://h?ssl_keyfile=k", "without 'ssl_certfile'"),
        ("redis://h/cache", "its database is not a number"),
        ("redis://h?db=x", "its database is not a number"),
        ("redis://h/0#x", "it has a '#'"),
        ("http://h", "give redis://host:6379/0"),
        ("unix://", "give redis://host:6379/0"),
        ("redis://:6379", "give redis://host:6379/0"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(text: str, problem: str) -> None:
    """A mistake is found at the start, and not at each call."""
    with pytest.raises(ValueError, match=r"Redis URL|parameter|ssl_") as caught:
        parse_redis_url(text)
    assert problem in str(caught.value)


@pytest.mark.parametrize("sign", ["#", "/", "?", "[", "#1", "/1", "?1=2&", "?tls="])
@pytest.mark.parametrize("start", ["redis://:", "redis://", "redis://user:", "rediss://u:12"])
def test_a_password_that_is_not_encoded_gets_a_hint(start: str, sign: str) -> None:
    """Such a sign ends the host of a URL: a piece of the password must not become another part."""
    with pytest.raises(ValueError, match="write '#' as %23, '/' as %2F") as caught:
        parse_redis_url(f"{start}first{sign}second@cache:6379/0")
    assert "first" not in str(caught.value)
    assert "second" not in str(caught.value)


def test_a_password_is_not_in_a_repr() -> None:
    """It may be printed by accident."""
    assert "secret" not in repr(parse_redis_url("redis://:secret@h"))
