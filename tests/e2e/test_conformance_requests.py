"""Requests that two parsers could read in two ways: conformance families 1 to 6, 8 and 9.

Each vector is sent whole and cut at every byte. R means: one 400 and the connection closed, nobody
asked for a decision, not one byte at the upstream, and nothing that follows taken for a request.
"""

from __future__ import annotations

from typing import Final

import pytest

from tests.fakes.engines import AllowingEngine
from tests.fakes.upstreams import ScriptedUpstream
from tests.plane import staged, statuses, talk_every_way

NEXT: Final = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*fields: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a POST with these field lines after Host."""
    return b"\r\n".join((b"POST /paid " + version, b"Host: a", *fields, b"", body))


def length(value: bytes) -> bytes:
    """Return a POST of three bytes that says its length so."""
    return post(b"Content-Length: " + value, body=b"abc")


def coding(value: bytes) -> bytes:
    """Return a POST of no bytes whose transfer coding is named so."""
    return post(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")


def chunked(body: bytes) -> bytes:
    """Return a POST with this body, chunks or not."""
    return post(b"Transfer-Encoding: chunked", body=body)


def get(*lines: bytes) -> bytes:
    """Return a head of these lines."""
    return b"\r\n".join((*lines, b"", b""))


FRAMING: Final = {
    "1 length, then coding": post(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "1 coding, then length": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "1 length of nought, then coding": post(
        b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "2 two equal lengths": post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "2 two lengths": post(b"Content-Length: 3", b"Content-Length: 0", body=b"abc"),
    "2 equal lengths on one line": length(b"3, 3"),
    "2 lengths on one line": length(b"3, 0"),
    "2 length with plus": length(b"+3"),
    "2 length below nought": length(b"-3"),
    "2 length in hex": length(b"0x3"),
    "2 length with underscore": length(b"1_0"),
    "2 length with space": length(b"3 3"),
    "2 length with letter": length(b"3a"),
    "2 length with point": length(b"3.0"),
    "2 length in quotes": length(b'"3"'),
    "2 length of full-width digits": length(b"\xef\xbc\x93"),
    "2 length with vertical tab": length(b"\x0b3"),
    "2 length empty": length(b""),
    "2 length of 2^63": length(b"9223372036854775808"),
    "2 length beyond 2^64": length(b"18446744073709551619"),
    "2 length of many noughts": length(b"0" * 40 + b"3"),
    "3 unknown coding": coding(b"identity"),
    "3 misspelt coding": coding(b"xchunked"),
    "3 short coding": coding(b"chunke"),
    "3 quoted coding": coding(b'"chunked"'),
    "3 coding with parameter": coding(b"chunked;q=1"),
    "3 coding with vertical tab before": coding(b"\x0bchunked"),
    "3 coding with vertical tab after": coding(b"chunked\x0b"),
    "3 coding with NUL": coding(b"chunked\x00"),
    "3 coding twice": coding(b"chunked, chunked"),
    "3 coding with empty member": coding(b", chunked"),
    "3 coding with unknown other": coding(b"chunked, cow"),
    "3 chunked before another": coding(b"chunked, gzip"),
    "3 coding empty": coding(b""),
    "3 coding on two lines": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "3 other coding on two lines": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"
    ),
    "3 coding on 1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
    "4 space before colon": get(b"GET / HTTP/1.1", b"Host : a"),
    "4 space before the colon of a length": post(b"Content-Length : 3", body=b"abc"),
    "4 tab before the colon of a coding": post(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "4 folded line": get(b"GET / HTTP/1.1", b"Host: a", b"X: y", b" z"),
    "4 line folded with tab": get(b"GET / HTTP/1.1", b"Host: a", b"X: y", b"\tz"),
    "4 space before the first field": get(b"GET / HTTP/1.1", b" Host: a"),
    "4 empty name": get(b"GET / HTTP/1.1", b"Host: a", b": y"),
    "4 no colon": get(b"GET / HTTP/1.1", b"Host: a", b"nothing"),
    "4 bracket in a name": get(b"GET / HTTP/1.1", b"Host: a", b"X(y): z"),
    "4 control byte in a name": get(b"GET / HTTP/1.1", b"Host: a", b"X\x01: z"),
    "4 Latin letter in a name": get(b"GET / HTTP/1.1", b"Host: a", b"X\xe9: z"),
    "4 space in a name": get(b"GET / HTTP/1.1", b"Host: a", b"X Y: z"),
    "4 CR in a value": get(b"GET / HTTP/1.1", b"Host: a", b"X: y\rZ: z"),
    "4 LF in a value": get(b"GET / HTTP/1.1", b"Host: a", b"X: y\nZ: z"),
    "4 NUL in a value": get(b"GET / HTTP/1.1", b"Host: a", b"X: y\x00z"),
    "4 DEL in a value": get(b"GET / HTTP/1.1", b"Host: a", b"X: y\x7fz"),
    "4 end of head in bare LF": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "8 two spaces": get(b"GET  / HTTP/1.1", b"Host: a"),
    "8 two spaces before the version": get(b"GET /  HTTP/1.1", b"Host: a"),
    "8 tab": get(b"GET\t/ HTTP/1.1", b"Host: a"),
    "8 space at the start": get(b" GET / HTTP/1.1", b"Host: a"),
    "8 space at the end": get(b"GET / HTTP/1.1 ", b"Host: a"),
    "8 space in the target": get(b"GET /a b HTTP/1.1", b"Host: a"),
    "8 bare LF": b"GET / HTTP/1.1\nHost: a\n\n",
    "8 bare CR": b"GET / HTTP/1.1\rHost: a\r\r",
    "8 no version": get(b"GET /", b"Host: a"),
    "8 no target": get(b"GET HTTP/1.1", b"Host: a"),
    "8 minor of two digits": get(b"GET / HTTP/1.10", b"Host: a"),
    "8 version in lower case": get(b"GET / http/1.1", b"Host: a"),
    "8 other protocol": get(b"GET / ICY/1.1", b"Host: a"),
    "8 method in lower case": get(b"post /paid HTTP/1.1", b"Host: a"),
    "8 method in mixed case": get(b"pOST /paid HTTP/1.1", b"Host: a"),
    "8 fragment": get(b"GET /paid#/free HTTP/1.1", b"Host: a"),
    "8 control byte in the target": get(b"GET /\x01 HTTP/1.1", b"Host: a"),
    "8 Latin letter in the target": get(b"GET /\xe9 HTTP/1.1", b"Host: a"),
    "8 two empty lines before": b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "8 a greeting of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "9 no host": get(b"GET / HTTP/1.1", b"X: y"),
    "9 two hosts": get(b"GET / HTTP/1.1", b"Host: a", b"Host: b"),
    "9 equal hosts": get(b"GET / HTTP/1.1", b"Host: a", b"Host: a"),
    "9 list of hosts": get(b"GET / HTTP/1.1", b"Host: a, b"),
    "9 host with user": get(b"GET / HTTP/1.1", b"Host: u@a"),
    "9 host with path": get(b"GET / HTTP/1.1", b"Host: a/b"),
    "9 host with space": get(b"GET / HTTP/1.1", b"Host: a b"),
    "9 host with query": get(b"GET / HTTP/1.1", b"Host: a?b"),
    "9 host with scheme": get(b"GET / HTTP/1.1", b"Host: http://a"),
    "9 host with a port of letters": get(b"GET / HTTP/1.1", b"Host: a:b"),
    "9 empty host": get(b"GET / HTTP/1.1", b"Host: "),
    "9 absolute form of another host": get(b"GET http://b/ HTTP/1.1", b"Host: a"),
    "9 absolute form with user": get(b"GET http://u@a/ HTTP/1.1", b"Host: a"),
    "9 absolute form of another scheme": get(b"GET ftp://a/ HTTP/1.1", b"Host: a"),
    "9 authority form": get(b"GET a:80 HTTP/1.1", b"Host: a"),
    "9 asterisk form of another method": get(b"GET * HTTP/1.1", b"Host: a"),
}

CHUNKS: Final = {
    "6 size with prefix": chunked(b"0x3\r\nabc\r\n0\r\n\r\n"),
    "6 size with plus": chunked(b"+3\r\nabc\r\n0\r\n\r\n"),
    "6 size below nought": chunked(b"-3\r\nabc\r\n0\r\n\r\n"),
    "6 size after a space": chunked(b" 3\r\nabc\r\n0\r\n\r\n"),
    "6 size before a space": chunked(b"3 \r\nabc\r\n0\r\n\r\n"),
    "6 size before a tab": chunked(b"3\t\r\nabc\r\n0\r\n\r\n"),
    "6 size with underscore": chunked(b"0_3\r\nabc\r\n0\r\n\r\n"),
    "6 size with letter": chunked(b"3g\r\nabc\r\n0\r\n\r\n"),
    "6 size of too many digits": chunked(b"00000000000000003\r\nabc\r\n0\r\n\r\n"),
    "6 size beyond 2^64": chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n"),
    "6 empty size": chunked(b"\r\nabc\r\n0\r\n\r\n"),
    "6 extension without size": chunked(b";x\r\nabc\r\n0\r\n\r\n"),
    "6 size before a bare LF": chunked(b"3\nabc\r\n0\r\n\r\n"),
    "6 size before a bare CR": chunked(b"3\rabc\r\n0\r\n\r\n"),
    "6 data before a bare LF": chunked(b"3\r\nabc\n0\r\n\r\n"),
    "6 data before other bytes": chunked(b"3\r\nabcXX0\r\n\r\n"),
    "6 data longer than its size": chunked(b"3\r\nabcd\r\n0\r\n\r\n"),
    "6 data shorter than its size": chunked(b"5\r\nabc\r\n0\r\n\r\n"),
    "6 extension with bare LF": chunked(b"3;x\ny\r\nabc\r\n0\r\n\r\n"),
    "6 extension with bare CR": chunked(b"3;x\ry\r\nabc\r\n0\r\n\r\n"),
    "6 extension with NUL": chunked(b"3;x\x00\r\nabc\r\n0\r\n\r\n"),
    "6 empty extension": chunked(b"3;\r\nabc\r\n0\r\n\r\n"),
    "6 extension too long": chunked(b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n"),
    "6 last chunk with letter": chunked(b"3\r\nabc\r\n0x\r\n\r\n"),
    "6 last chunk below nought": chunked(b"3\r\nabc\r\n-0\r\n\r\n"),
    "6 last line in bare LF": chunked(b"3\r\nabc\r\n0\r\n\n"),
    "6 last chunk before a bare LF": chunked(b"3\r\nabc\r\n0\n\r\n"),
    "6 trailer without colon": chunked(b"3\r\nabc\r\n0\r\nnothing\r\n\r\n"),
    "6 trailer with space before colon": chunked(b"3\r\nabc\r\n0\r\nX : y\r\n\r\n"),
    "6 trailer folded": chunked(b"3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n"),
    "6 trailer with NUL": chunked(b"3\r\nabc\r\n0\r\nX: y\x00\r\n\r\n"),
}

REFUSED_OTHERWISE: Final = {
    "3 gzip alone": (coding(b"gzip"), 501),
    "3 gzip, then chunked": (coding(b"gzip, chunked"), 501),
    "8 version 0.9": (get(b"GET / HTTP/0.9", b"Host: a"), 505),
    "8 version 2.0": (get(b"GET / HTTP/2.0", b"Host: a"), 505),
    "8 the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "8 unknown method": (get(b"COW / HTTP/1.1", b"Host: a"), 501),
    "9 CONNECT": (get(b"CONNECT a:80 HTTP/1.1", b"Host: a:80"), 501),
    "9 CONNECT with a path": (get(b"CONNECT / HTTP/1.1", b"Host: a"), 501),
    "9 TRACE": (get(b"TRACE / HTTP/1.1", b"Host: a"), 501),
    "13 another expectation": (post(b"Expect: cows", b"Content-Length: 3", body=b"abc"), 417),
    "13 an expectation twice": (
        post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 0"), 417
    ),
}  # fmt: skip


@pytest.mark.parametrize("vector", [*FRAMING.values(), *CHUNKS.values()], ids=[*FRAMING, *CHUNKS])
async def test_refused_however_it_is_cut(vector: bytes) -> None:
    """R, whole, in two packets cut anywhere, and byte by byte."""
    engine = AllowingEngine()
    async with ScriptedUpstream() as upstream, staged(engine, upstream) as stage:
        assert await talk_every_way(stage, vector + NEXT) == {(400,)}
        assert upstream.untouched, upstream.bytes
        assert engine.calls == []


async def test_broken_chunks_that_trickle_in_are_refused() -> None:
    """6: R also when the break comes long after the head, as long as bytes keep coming."""
    vector = chunked(b"3\r\nabc\r\n3\r\nabcX\r\n0\r\n\r\n")
    head, _, body = vector.partition(b"\r\n\r\n")
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        async with stage.client() as client:
            bytes_of_body = [body[at : at + 1] for at in range(len(body))]
            await client.send(head + b"\r\n\r\n", *bytes_of_body[:15], pause=0.05)
            assert statuses(await client.rest()) == (400,)
        assert upstream.untouched


@pytest.mark.parametrize("vector", [*FRAMING.values(), *CHUNKS.values()], ids=[*FRAMING, *CHUNKS])
async def test_refused_after_a_good_request(vector: bytes) -> None:
    """R as the second request of a connection too, after the first was answered."""
    good = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert statuses(await stage.talk(good + vector + NEXT)) == (200, 400)
        assert [request.target for request in upstream.requests] == [b"/good"]


@pytest.mark.parametrize(("vector", "status"), REFUSED_OTHERWISE.values(), ids=[*REFUSED_OTHERWISE])
async def test_refused_with_a_status_of_its_own(vector: bytes, status: int) -> None:
    """What is understood but not served has its own status, and is as final as a 400."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert await talk_every_way(stage, vector + NEXT) == {(status,)}
        assert upstream.untouched


@pytest.mark.parametrize(
    "field", [b"Transfer_Encoding: chunked", b"Content_Length: 30", b"content_length: -1"]
)
async def test_framing_with_underscores_is_dropped(field: bytes) -> None:
    """5: what a product might read as framing never reaches it, and frames nothing here."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        await stage.ask(post(b"Content-Length: 3", field, body=b"abc"))
        (request,) = upstream.requests
    assert [name for name, _ in request.headers if b"_" in name] == []
    assert request.body == b"abc"


GOOD: Final = {
    "one empty line before": b"\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "spaces around a value": b"GET / HTTP/1.1\r\nHost: \t a \t\r\nConnection: close\r\n\r\n",
    "a body of a length": post(b"Connection: close", b"Content-Length: 3", body=b"abc"),
    "chunks with an extension": post(
        b"Connection: close",
        b"Transfer-Encoding: chunked",
        body=b'3;a="b c";d=e;f\r\nabc\r\n0\r\n\r\n',
    ),
    "chunks with noughts before": post(
        b"Connection: close", b"Transfer-Encoding: chunked", body=b"0003\r\nabc\r\n000\r\n\r\n"
    ),
    "chunks with white space and quotes in extensions": post(
        b"Connection: close",
        b"Transfer-Encoding: Chunked",
        body=b'3 ;\ta = "b;\\"c" ; d\r\nabc\r\n0; e="\\\\"\r\n\r\n',
    ),
    "a later minor version": post(
        b"Connection: close",
        b"Transfer-Encoding: CHUNKED",
        body=b"3\r\nabc\r\n0\r\n\r\n",
        version=b"HTTP/1.7",
    ),
    "absolute form with the scheme's port": (
        b"GET http://a/b?c HTTP/1.1\r\nHost: A:80\r\nConnection: close\r\n\r\n"
    ),
    "absolute form": b"GET http://a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "HTTP/1.0 without Host": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("vector", GOOD.values(), ids=[*GOOD])
async def test_served_however_it_is_cut(vector: bytes) -> None:
    """What is odd but clear is served, whole, in two packets cut anywhere, and byte by byte."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        assert await talk_every_way(stage, vector) == {(200,)}
        assert upstream.broken == []
        assert len({bytes(request.body) for request in upstream.requests}) == 1


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        (b"http://a/x?y", b"/x?y"),
        (b"http://a", b"/"),
        (b"HTTPS://A/x", b"/x"),
        (b"http://a?y", b"/?y"),
    ],
)
async def test_absolute_form_contacts_only_the_upstream(target: bytes, sent: bytes) -> None:
    """9: of an absolute target the upstream gets the path alone."""
    async with ScriptedUpstream() as upstream, staged(upstream=upstream) as stage:
        await stage.ask(get(b"GET " + target + b" HTTP/1.1", b"Host: a"))
        assert [request.target for request in upstream.requests] == [sent]
