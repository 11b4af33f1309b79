"""Which pages may read refusals: what a pattern of the policy means, whatever origin comes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.domain.cors import Cors, PageOrigin, parse_origin_pattern, read_origin

LABELS = st.from_regex(r"[a-z0-9_-]{1,8}", fullmatch=True)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
PORTS = st.none() | st.integers(min_value=1, max_value=65_535)
ORIGINS = st.builds(
    lambda scheme, host, port: f"{scheme}://{host}" + ("" if port is None else f":{port}"),
    st.sampled_from(["http", "https", "capacitor"]),
    HOSTS,
    PORTS,
)


def cors(*origins: str, credentials: bool = False) -> Cors:
    """Return the rule of these entries."""
    return Cors(tuple(map(parse_origin_pattern, origins)), credentials)


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://app.acme.com", "https://app.acme.com", True),
        ("https://app.acme.com", "https://APP.Acme.com", True),
        ("HTTPS://App.Acme.com", "https://app.acme.com", True),
        ("https://app.acme.com", "http://app.acme.com", False),
        ("https://app.acme.com", "https://app.acme.com:8443", False),
        ("https://app.acme.com:8443", "https://app.acme.com:8443", True),
        ("https://app.acme.com:8443", "https://app.acme.com", False),
        ("https://app.acme.com:443", "https://app.acme.com", True),
        ("http://app.acme.com:443", "http://app.acme.com", False),
        ("https://app.acme.com", "https://app.acme.com.evil.com", False),
        ("https://app.acme.com", "https://app.acme.com.", False),
        ("https://app.acme.com", "https://app.acme.com/", False),
        ("https://app.acme.com", "https://app.acme.com@evil.com", False),
        ("https://app.acme.com", "https://appxacme.com", False),
        ("https://*.acme.com", "https://a.acme.com", True),
        ("https://*.acme.com", "https://a.b.ACME.com", True),
        ("https://*.acme.com", "https://acme.com", False),
        ("https://*.acme.com", "https://.acme.com", False),
        ("https://*.acme.com", "https://evilacme.com", False),
        ("https://*.acme.com", "https://acme.com.evil.com", False),
        ("https://*.acme.com", "https://a.acme.com.evil.com", False),
        ("https://*.acme.com", "https://evil.com/.acme.com", False),
        ("https://*.acme.com", "https://evil.com#.acme.com", False),
        ("https://*.acme.com", "https://evil.com\\.acme.com", False),
        ("https://*.acme.com", "https://a.acme.com:8443", False),
        ("https://*.acme.com:8443", "https://a.acme.com:8443", True),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://[::1]:3000", "http://[::1]:3000", True),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("https://app.acme.com", "null", False),
        ("*", "null", True),
        ("*", "https://a.example", True),
        ("*", "https://a.example, https://b.example", False),
        ("*", "", False),
        ("*", "https://\u0430.example", False),
    ],
)
def test_an_origin_is_allowed_as_its_pattern_says(
    pattern: str, origin: str, *, allowed: bool
) -> None:
    """Scheme, host without regard to case, and port; a wildcard is whole labels."""
    assert cors(pattern).allows(origin.encode()) is allowed


@given(ORIGINS, ORIGINS)
@example("https://acme.com", "https://acme.com:443")
def test_an_exact_entry_allows_its_own_origin_alone(entry: str, other: str) -> None:
    """Two origins are the same where all three parts are."""
    rule = cors(entry)
    assert rule.allows(entry.upper().encode())
    assert rule.allows(other.encode()) is (read_origin(entry) == read_origin(other))


@given(HOSTS, LABELS, LABELS.filter(lambda label: not label.isdigit()))
def test_a_wildcard_allows_labels_below_and_nothing_beside(
    host: str, label: str, last: str
) -> None:
    """Neither the host itself, nor one that ends or begins alike."""
    domain = f"{host}.{last}"
    rule = cors(f"https://*.{domain}")
    assert rule.allows(f"https://{label}.{domain}".encode())
    assert rule.allows(f"https://{label}.{label}.{domain}".encode())
    assert not rule.allows(f"https://{domain}".encode()) or domain.endswith(f".{domain}")
    assert not rule.allows(f"https://{domain}.{label}x.zz".encode())
    beside = f"{label}{domain}"
    assert rule.allows(f"https://{beside}".encode()) is beside.endswith(f".{domain}")


@given(st.binary(max_size=60))
@example(b"https://a.example\r\nx: y")
@example(b"https://a.example ")
@example(b"https://a.example\n")
def test_what_is_allowed_is_safe_to_write_into_a_field(value: bytes) -> None:
    """Also under `*`: it is copied into the answer."""
    if cors("*").allows(value):
        text = value.decode("ascii")
        assert text.isprintable()
        assert not set(text) & set(" ,;\r\n/") - {"/"}


@given(ORIGINS)
def test_an_origin_is_read_with_its_usual_port_left_out(origin: str) -> None:
    """As browsers write it."""
    read = read_origin(origin)
    assert read is not None
    assert (read.scheme, read.port) not in {("http", 80), ("https", 443)}


def test_an_origin_has_three_parts() -> None:
    """In lower case."""
    assert read_origin("HTTP://A.B:81") == PageOrigin("http", "a.b", 81)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("acme.com", "is no origin: write scheme://host"),
        ("https://acme.com/", "is no origin"),
        ("https://acme.com/app", "is no origin"),
        ("https://a*.acme.com", "is no origin"),
        ("https://a.*.acme.com", "is no origin"),
        ("https://*", "is no origin"),
        ("https://*.", "is no origin"),
        ("*://acme.com", "is no origin"),
        ("https://münchen.example", "an international host as xn--"),
        ("https://acme.com:*", "is no origin"),
        ("https://acme.com:0", "has no valid port: 1 to 65535"),
        ("https://acme.com:65536", "has no valid port"),
        ("http://*.0.0.1", "no host is below an IP address"),
        ("http://*.[::1]", "no host is below an IP address"),
        ("null", "names no page of yours"),
        ("", "is no origin"),
    ],
)
def test_a_bad_pattern_is_named_with_its_fix(text: str, problem: str) -> None:
    """What cannot be meant is no pattern."""
    with pytest.raises(ValueError, match=problem):
        parse_origin_pattern(text)
