from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.settings.ranges import duration, optional_duration, whole, word
from sidecar.settings.secret import Secret
from sidecar.settings.sections import LogLevel
from sidecar.settings.values import (
    Address,
    Origin,
    WebhookUrl,
    parse_address,
    parse_host,
    parse_issuer,
    parse_networks,
    parse_origin,
    parse_path,
    parse_port,
    parse_protocols,
    parse_pseudonym,
    parse_redis,
    parse_slug,
    parse_webhook_url,
)

PARSERS: list[Callable[[str], object]] = [
    duration(0, 100), optional_duration(0, 100), word(LogLevel), whole(0, 10), parse_address,
    parse_host, parse_issuer, parse_networks, parse_origin, parse_path, parse_port, parse_redis,
    parse_protocols, parse_pseudonym, parse_slug,
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://127.0.0.1:3000", Origin("http", "127.0.0.1", 3000)),
        ("https://Api.Example", Origin("https", "api.example", 443)),
        ("http://h/", Origin("http", "h", 80)),
        ("http://[::1]:81", Origin("http", "::1", 81)),
        ("http://svc_a.ns.svc.cluster.local.", Origin("http", "svc_a.ns.svc.cluster.local.", 80)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: Origin) -> None:
    """The port is the scheme's own where none is given."""
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "", "h", "//h", "ftp://h", "http://", "http:///p", "http://h/p", "http://h?q", "http://h#f",
        "http://h?", "http://u@h", "http://u:p@h", "http://h:", "http://h:0", "http://h:65536",
        "http://h:x", "http://h:-1", "http://h h", "http://h\n", "http://[::1", "http://-h",
        "http://h..x", "http://256.1.1.1", "http://ä", "http://" + "a." * 130,
    ],
)  # fmt: skip
def test_anything_more_or_less_is_no_origin(text: str) -> None:
    """A path, a credential, a bad host or port: each an error with a fix."""
    with pytest.raises(ValueError, match="give scheme, host and port alone"):
        parse_origin(text)


@pytest.mark.parametrize(
    ("origin", "url", "authority", "tls"),
    [
        (Origin("https", "h", 443), "https://h", "h", True),
        (Origin("http", "h", 443), "http://h:443", "h:443", False),
        (Origin("http", "::1", 80), "http://[::1]", "[::1]", False),
    ],
)
def test_an_origin_writes_its_host_field(
    origin: Origin, url: str, authority: str, *, tls: bool
) -> None:
    """Brackets for IPv6, no port where it is the scheme's own (RFC 9110, 7.2)."""
    assert (origin.url, origin.authority, origin.tls) == (url, authority, tls)
    assert str(origin) == url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9901", Address("127.0.0.1", 9901)),
        ("[::1]:0", Address("::1", 0)),
        ("Localhost:1", Address("localhost", 1)),
    ],
)
def test_an_address_is_host_and_port(text: str, address: Address) -> None:
    """IPv6 stands in brackets."""
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", ":1", "h", "h:", "::1:1", "[::1]", "h:x", "h:70000", "a b:1"])
def test_other_text_is_no_address(text: str) -> None:
    """`::1:1` could be read in two ways."""
    with pytest.raises(ValueError, match="give"):
        parse_address(text)


def test_an_address_writes_itself_as_it_is_read() -> None:
    """For the log line that says what is where."""
    assert str(parse_address("[::1]:80")) == "[::1]:80"


@pytest.mark.parametrize(
    ("admin", "reached"),
    [
        ("0.0.0.0:9901", "http://127.0.0.1:9901"),
        ("[::]:9901", "http://[::1]:9901"),
        ("[fe80::1]:80", "http://[fe80::1]:80"),
        ("10.0.0.7:80", "http://10.0.0.7:80"),
    ],
)
def test_every_address_is_reached_by_this_machine(admin: str, reached: str) -> None:
    """The same SIDECAR_ADMIN serves the sidecar and its probe."""
    assert parse_address(admin).here.url == reached


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        ("0.0.0.0:1", "10.0.0.1:1", True),
        ("10.0.0.1:1", "[::]:1", True),
        ("10.0.0.1:1", "10.0.0.1:1", True),
        ("10.0.0.1:1", "10.0.0.2:1", False),
        ("10.0.0.1:1", "10.0.0.1:2", False),
        ("10.0.0.1:0", "10.0.0.1:0", False),
    ],
)
def test_two_addresses_that_cannot_both_be_listened_on(
    one: str, other: str, *, overlap: bool
) -> None:
    """A port of every address is one of each; port 0 is a free one each time."""
    assert parse_address(one).overlaps(parse_address(other)) is overlap


@pytest.mark.parametrize("text", ["", "-1", "+1", " 1", "1.0", "65536", "000080", "٣", "0x50"])
def test_a_port_is_plain_digits(text: str) -> None:
    """int() alone would take several of these."""
    with pytest.raises(ValueError, match="0 to 65535"):
        parse_port(text)


def test_networks_are_cidrs_or_addresses() -> None:
    """Between commas or spaces."""
    assert parse_networks("10.0.0.0/8, 192.0.2.1 fd00::/8") == (
        ip_network("10.0.0.0/8"), ip_network("192.0.2.1/32"), ip_network("fd00::/8"),
    )  # fmt: skip


def test_a_network_with_host_bits_is_mended() -> None:
    """Which of the two was meant is the user's to say."""
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/8"):
        parse_networks("10.1.2.3/8")


@pytest.mark.parametrize("text", ["", ",", "x", "10.0.0.0/33", "all"])
def test_other_text_is_no_network(text: str) -> None:
    """Least of all a word that would trust everyone."""
    with pytest.raises(ValueError, match="give CIDRs"):
        parse_networks(text)


def test_a_path_is_taken_as_it_is() -> None:
    """Relative ones are the user's."""
    assert parse_path("a/b.yaml") == Path("a/b.yaml")


@pytest.mark.parametrize("text", ["", " ", "a\0b"])
def test_other_text_is_no_path(text: str) -> None:
    """Nothing, or what the system would refuse with a traceback."""
    with pytest.raises(ValueError, match="name a file"):
        parse_path(text)


@pytest.mark.parametrize("text", ["acme-notes", "a", "a.b_c"])
def test_a_slug_is_taken_as_it_is(text: str) -> None:
    """It is compared with `apps`."""
    assert parse_slug(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "a b", "a/b", "ä", "a" * 101])
def test_other_text_is_no_slug(text: str) -> None:
    """It becomes part of keys and of a header."""
    with pytest.raises(ValueError, match="product slug"):
        parse_slug(text)


def test_protocols_are_read_with_their_versions() -> None:
    """Between commas or spaces."""
    assert parse_protocols("mqtt, SPDY/3.1 x") == ("mqtt", "SPDY/3.1", "x")


@pytest.mark.parametrize("text", ["h2c", "H2", "http/2.0", "TLS/1.3", "mqtt,HTTP", "h3"])
def test_a_protocol_that_carries_requests_is_refused(text: str) -> None:
    """What passes in it would be neither decided on nor charged."""
    with pytest.raises(ValueError, match="unmetered"):
        parse_protocols(text)


@pytest.mark.parametrize("text", ["", " , ", "a b/c/d", "a/", "/1", "ä", 'a"', "a:b", "a" * 65])
def test_what_is_no_list_of_protocols(text: str) -> None:
    """Each is a token, with a version after a slash."""
    with pytest.raises(ValueError, match="protocol"):
        parse_protocols(text)


@pytest.mark.parametrize("text", ["", "a b", "a,b", "-a", "a:80", "ä", "a\r\nb", "a" * 65])
def test_what_is_no_name_for_via(text: str) -> None:
    """It becomes part of a header."""
    with pytest.raises(ValueError, match="is not a name"):
        parse_pseudonym(text)


def test_a_name_for_via() -> None:
    """A pseudonym, or a host's name."""
    assert parse_pseudonym("edge-1.eu") == "edge-1.eu"


def test_an_issuer_is_not_normalised() -> None:
    """`iss` is compared byte for byte, its trailing slash included."""
    assert parse_issuer("https://auth.example/") == "https://auth.example/"


def test_an_issuer_is_something() -> None:
    """An empty one is a variable of a script that was not set, not the default."""
    with pytest.raises(ValueError, match="is empty"):
        parse_issuer("")


@pytest.mark.parametrize("text", ["redis://h", "rediss://:p@h:6380/1", "unix:///run/redis.sock"])
def test_a_redis_url_is_taken_as_it_is(text: str) -> None:
    """Plain, TLS or a socket."""
    assert parse_redis(text) == Secret(text)


@pytest.mark.parametrize("text", ["", "h:6379", "http://h", "redis://", "redis://h:x", "unix://"])
def test_other_text_is_no_redis_url(text: str) -> None:
    """Found at the start, not at the first call."""
    with pytest.raises(ValueError, match="Redis URL"):
        parse_redis(text)


@pytest.mark.parametrize("parse", PARSERS)
@given(text=st.text())
def test_a_parser_answers_or_says_what_is_wrong(parse: Callable[[str], object], text: str) -> None:
    """Whatever the text: a value or a ValueError, on one line."""
    problem = ""
    try:
        parse(text)
    except ValueError as error:
        problem = str(error)
    assert "\n" not in problem


def test_a_webhook_url_is_an_origin_and_a_plain_path() -> None:
    """The path is what is taken from the product."""
    parsed = parse_webhook_url("https://Notes.example:443/api/_sidecar/events")
    assert parsed == WebhookUrl("https://notes.example/api/_sidecar/events", "/api/_sidecar/events")


@pytest.mark.parametrize(
    "text",
    [
        "https://notes.example",
        "https://notes.example/",
        "https://notes.example/api/events/",
        "https://notes.example//events",
        "https://notes.example/api/../events",
        "https://notes.example/api/.",
        "https://notes.example/api/%65vents",
        "https://notes.example/api/events?token=1",
        "https://notes.example/api/events#x",
        "https://u:p@notes.example/api/events",
        "ftp://notes.example/api/events",
        "/api/events",
        "https://[::1/api/events",
        "https://notes.example/api/ev ents",
    ],
)
def test_a_webhook_url_that_is_none(text: str) -> None:
    """Root, escapes, dot segments and queries could take a path from the product by mistake."""
    with pytest.raises(ValueError, match="public URL"):
        parse_webhook_url(text)
