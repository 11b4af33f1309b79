"""Heads of requests and the verdict on each: conformance families 1 to 5, 8, 9, 12 and 13.

A refusal is the status that the client is answered. What is accepted is tried field by field in
test_heads.py; here it only must not be refused.
"""

from __future__ import annotations

from typing import Final

HOST: Final = b"Host: a.example\r\n"


def post(*lines: bytes, host: bytes = HOST, version: bytes = b"1.1") -> bytes:
    """Build the head of a POST with these field lines after Host."""
    fields = b"".join(line + b"\r\n" for line in lines)
    return b"POST /x HTTP/" + version + b"\r\n" + host + fields + b"\r\n"


def first(line: bytes, host: bytes = HOST) -> bytes:
    """Build a head with this request line."""
    return line + b"\r\n" + host + b"\r\n"


def _length(value: bytes) -> bytes:
    return post(b"Content-Length: " + value)


def _coding(value: bytes, version: bytes = b"1.1") -> bytes:
    return post(b"Transfer-Encoding: " + value, version=version)


def _host(value: bytes) -> bytes:
    return post(host=b"Host: " + value + b"\r\n")


_TWO_FRAMINGS: Final = {
    "length then coding": post(b"Content-Length: 5", b"Transfer-Encoding: chunked"),
    "coding then length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5"),
    "length of nought and coding": post(b"Content-Length: 0", b"Transfer-Encoding: chunked"),
    "coding and a bad length": post(b"Transfer-Encoding: chunked", b"Content-Length: x"),
    "an unknown coding and length": post(b"Transfer-Encoding: gzip", b"Content-Length: 5"),
    "two framings on 1.0": post(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", version=b"1.0"
    ),
    "two framings, names in odd case": post(b"cONTENT-lENGTH: 5", b"TRANSFER-encoding: chunked"),
}

_LENGTHS: Final = {
    f"length {value!r}": _length(value)
    for value in (
        b"", b" ", b"+5", b"-5", b"-0", b"+0", b"0x5", b"0x", b"5x", b"x", b"five", b"5_0", b"5 0",
        b"5 5", b"5,5", b"5, 5", b"5, 6", b",5", b"5,", b"5;", b"5.0", b"5e0", b"1e3", b"\x0b5",
        b"5\x00", b"5\x0c", b"'5'", b'"5"', b"0b1", b"0o7", b"NaN", b"Infinity",
        b"\xd9\xa5", b"\xb2", b"\xef\xbc\x95",  # digits, but not of ASCII
        b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
        b"18446744073709551621", b"99999999999999999999", b"0" * 20 + b"5", b"1" * 400,
    )
}  # fmt: skip
_TWO_LENGTHS: Final = {
    "two lengths that agree": post(b"Content-Length: 5", b"Content-Length: 5"),
    "two lengths that differ": post(b"Content-Length: 5", b"Content-Length: 6"),
    "two lengths apart": post(b"Content-Length: 5", b"X: y", b"content-length: 0"),
    "three lengths": post(*[b"Content-Length: 0"] * 3),
}

_CODINGS: Final = {
    f"coding {value!r}": _coding(value)
    for value in (
        b"", b" ", b"chunk", b"chunke", b"chunkedx", b"xchunked", b"x-chunked", b"chunked-x",
        b"chun ked", b"c hunked", b"chunked chunked", b"chunked;", b"chunked;q=1", b"chunked; x=y",
        b"chunked,", b",chunked", b", chunked", b"chunked, chunked", b"chunked,identity",
        b"identity", b"identity, chunked", b"identity,chunked", b"cow", b"cow, chunked",
        b'"chunked"', b"'chunked'", b"chunked\x00", b"chunked\x0b", b"\x0bchunked", b"\x0cchunked",
        b"chunked\x0c", b"\x08chunked", b"chunked\x7f", b"\xa0chunked", b"chunked\xa0",
        b"\x85chunked", b"chunked\xff", b"\xefchunked", b"chunked\r", b"chunked/gzip", b"[chunked]",
        b"chunked=1", b"chunked\tx", b"trailers",
        b"gzip, cow", b"chunked, gzip", b"gzip, chunked, chunked", b"deflate;q=1",
        b"chunked, gzip, chunked", b"chunked\t",
        "\u017fhunked".encode(), "chun\u212aed".encode(),  # letters that fold to ASCII
    )
}  # fmt: skip
_CODING_LINES: Final = {
    "coding twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "coding twice, identity first": post(
        b"Transfer-Encoding: identity", b"Transfer-Encoding: chunked"
    ),
    "coding twice, identity last": post(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"
    ),
    "coding twice, the second empty": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding:"),
    "coding twice, the first empty": post(b"Transfer-Encoding:", b"Transfer-Encoding: chunked"),
    "coding on two lines": post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
    "coding on 1.0": _coding(b"chunked", b"1.0"),
    "coding on 1.0, gzip": _coding(b"gzip", b"1.0"),
    "coding on 1.0, kept alive": post(
        b"Transfer-Encoding: chunked", b"Connection: keep-alive", version=b"1.0"
    ),
    "coding folded": post(b"Transfer-Encoding:", b" chunked"),
    "coding with a space before the colon": post(b"Transfer-Encoding : chunked"),
    "coding with a tab before the colon": post(b"Transfer-Encoding\t: chunked"),
    "coding after a space": post(b" Transfer-Encoding: chunked"),
    "coding with a vertical tab in its name": post(b"Transfer\x0b-Encoding: chunked"),
    "coding hidden behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked"),
    "coding hidden behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked"),
    "coding hidden behind LF CR": post(b"X: y\n\rTransfer-Encoding: chunked"),
    "coding in a folded line": post(b"X: y", b" Transfer-Encoding: chunked"),
}  # fmt: skip

_FIELDS: Final = {
    "space before the colon": post(b"X : y"),
    "tab before the colon": post(b"X\t: y"),
    "length with a space before the colon": post(b"Content-Length : 5"),
    "fold by a space": post(b"X: y", b" z"),
    "fold by a tab": post(b"X: y", b"\tz"),
    "fold with nothing in it": post(b"X: y", b" "),
    "fold after Host": post(b" z"),
    "fold of a length": post(b"Content-Length: 5", b" 0"),
    "space before the first field": post(host=b" " + HOST),
    "tab before the first field": post(host=b"\t" + HOST),
    "fold before the first field": post(host=b" X: y\r\n" + HOST),
    "empty name": post(b": y"),
    "empty name, nothing at all": post(b":"),
    "no colon": post(b"X"),
    "no colon, with spaces": post(b"X y"),
    "no colon in the first field": post(host=b"Host\r\n"),
    "line of spaces": post(b"X: y", b"   "),
    **{
        f"byte {byte:#04x} in a name": post(b"X" + bytes([byte]) + b"Y: z")
        for byte in (*range(0x21), *b'"(),/;<=>?@[\\]{}', 0x7F, 0x80, 0xA0, 0xFF)
    },
    **{
        f"byte {byte:#04x} in a value": post(b"X: y" + bytes([byte]) + b"z")
        for byte in (*range(0x09), *range(0x0A, 0x20), 0x7F)
    },
    "NUL at the end of a value": post(b"X: y\x00"),
    "NUL alone in a value": post(b"X: \x00"),
    "CR at the end of a value": post(b"X: y\r"),
    "CR alone in a value": post(b"X: \r"),
    "bare LF after a field": post(host=HOST + b"X: y\n"),
    "bare CR after a field": post(host=HOST + b"X: y\r"),
    "bare LF after the request line": b"POST /x HTTP/1.1\n" + HOST + b"\r\n",
    "bare CR after the request line": b"POST /x HTTP/1.1\r" + HOST + b"\r\n",
    "CR CR LF after the request line": b"POST /x HTTP/1.1\r\r\n" + HOST + b"\r\n",
    "bare LF for the empty line": b"POST /x HTTP/1.1\r\n" + HOST + b"\n\r\n\r\n",
    "CR LF CR in the middle": post(b"X: y\r\n\rZ: w"),
}

_REQUEST_LINES: Final = {
    f"request line {line!r}": first(line)
    for line in (
        b"", b"GET", b"GET ", b"GET /", b"GET / ", b"GET  / HTTP/1.1", b"GET /  HTTP/1.1",
        b"GET\t/ HTTP/1.1", b"GET /\tHTTP/1.1", b"GET\t/\tHTTP/1.1", b" GET / HTTP/1.1",
        b"\tGET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\t", b"GET / HTTP/1.1 x",
        b"GET / HTTP", b"GET / HTTP/", b"GET / HTTP/1", b"GET / HTTP/1.", b"GET / HTTP/.1",
        b"GET / HTTP/1.10", b"GET / HTTP/1.11",
        b"GET / HTTP/01.1", b"GET / HTTP/1.01", b"GET / HTTP/11.1", b"GET / HTTP/1,1",
        b"GET / HTTP/1.1.1", b"GET / http/1.1", b"GET / Http/1.1", b"GET / HTTP /1.1",
        b"GET / HTTP/ 1.1", b"GET / HTTP/1 .1", b"GET / HTTP/+1.1", b"GET / HTTP/1.x",
        b"GET / HTTP/x.1", b"GET / HTTPS/1.1", b"GET / ICE/1.0", b"GET / RTSP/1.0",
        b"GET / HTTP/1.1HTTP/1.1", b"GET / HTTP/1.1\x00", b"GET /\x00 HTTP/1.1",
        b"GET /\x01 HTTP/1.1", b"GET /\x0b HTTP/1.1", b"GET /a b HTTP/1.1", b"GET /\x7f HTTP/1.1",
        b"GET /\x80 HTTP/1.1", b"GET /\xc3\xa9 HTTP/1.1", b"GET /a\rb HTTP/1.1",
        b"GET /#x HTTP/1.1", b"GET /x#y HTTP/1.1", b"GET # HTTP/1.1", b"GET /?a#b HTTP/1.1",
        b"get / HTTP/1.1", b"Get / HTTP/1.1", b"gET / HTTP/1.1", b"post /x HTTP/1.1",
        b"POSt /x HTTP/1.1", b"G\x00ET / HTTP/1.1", b"GE\xd4 / HTTP/1.1", b"G:T / HTTP/1.1",
        b"(GET) / HTTP/1.1", b"GET, / HTTP/1.1", b"1 / HTTP/1.1", b"/ HTTP/1.1", b"HTTP/1.1",
        b"HTTP/1.1 200 OK", b"GET x HTTP/1.1", b"GET x/y HTTP/1.1", b"GET a.example HTTP/1.1",
        b"GET a.example:80 HTTP/1.1", b"GET ?x HTTP/1.1", b"GET ../x HTTP/1.1",
        b"GET \\x HTTP/1.1", b"GET * HTTP/1.1", b"POST * HTTP/1.1", b"OPTIONS ** HTTP/1.1",
        b"OPTIONS *x HTTP/1.1", b"GET % HTTP/1.1",
    )
}  # fmt: skip
_VERSIONS: Final = {
    f"request line {line!r}": first(line)
    for line in (
        b"GET / HTTP/0.9", b"GET / HTTP/0.0", b"GET / HTTP/2.0", b"GET / HTTP/2.1",
        b"GET / HTTP/3.0", b"GET / HTTP/9.9", b"PRI * HTTP/2.0",
    )
}  # fmt: skip
_METHODS: Final = {
    f"request line {line!r}": first(line)
    for line in (
        b"CONNECT / HTTP/1.1", b"CONNECT a.example:443 HTTP/1.1", b"TRACE / HTTP/1.1",
        b"CONNECT * HTTP/1.1", b"FOO / HTTP/1.1", b"GE / HTTP/1.1", b"GETT / HTTP/1.1",
        b"POSTS /x HTTP/1.1", b"A / HTTP/1.1", b"PRI * HTTP/1.1", b"PRI / HTTP/1.1",
    )
}  # fmt: skip

_HOSTS: Final = {
    "host missing": post(host=b""),
    "host missing, another name": post(host=b"Hosts: a.example\r\n"),
    "host twice, the same": post(b"Host: a.example"),
    "host twice, another": post(b"Host: b.example"),
    "host twice, the second empty": post(b"Host:"),
    "host twice, in other case": post(b"HOST: a.example"),
    "host with a space before the colon": post(host=b"Host : a.example\r\n"),
    "host folded": post(host=b"Host:\r\n a.example\r\n"),
    **{
        f"host {value!r}": _host(value)
        for value in (
            b"", b" ", b"a.example, b.example", b"a.example,b.example", b"a.example b.example",
            b"a.example\tb.example", b"user@a.example", b"user:pass@a.example", b"@a.example",
            b"a.example/", b"a.example/x", b"a.example?x", b"a.example#x", b"http://a.example",
            b"//a.example", b"a.example\\x", b"a.example:", b"a.example:x", b"a.example:-1",
            b"a.example:+80", b"a.example:80:80", b"a.example:123456", b"a.example: 80",
            b"a.example :80", b":80", b":", b"[", b"[]", b"[::1", b"::1", b"[::1]x", b"[::1]:",
            b"[::1%25eth0]", b"[g::1]", b"a%2eexample", b"a%00", b"a\x00", b"a\x0bb",
            b"a.example\x7f", b"caf\xe9.example", b"a.example;x", b"a&b", b"a=b", b"a'b", b'a"b',
            b"<a>", b"a|b", b"{a}", b"a^b", b"a`b", b"-a.example", b".a.example", b"a!b", b"a*b",
            b"*", b"(a)", b"$a", b"a+b",
        )
    },
}  # fmt: skip
_ABSOLUTE: Final = {
    f"request line {line!r}": first(line)
    for line in (
        b"GET http://b.example/ HTTP/1.1", b"GET http://a.example:81/ HTTP/1.1",
        b"GET http://a.example:443/ HTTP/1.1", b"GET https://a.example:80/ HTTP/1.1",
        b"GET http://a.example:080x/ HTTP/1.1", b"GET http://a.example::80/ HTTP/1.1",
        b"GET http://user@a.example/ HTTP/1.1", b"GET http://a.example@b.example/ HTTP/1.1",
        b"GET http:///x HTTP/1.1", b"GET http:// HTTP/1.1", b"GET http:/x HTTP/1.1",
        b"GET http:a.example HTTP/1.1", b"GET http://a.example#x HTTP/1.1",
        b"GET http://a.example\\x HTTP/1.1", b"GET http://a.example:/ HTTP/1.1",
        b"GET http://a.example:x/ HTTP/1.1", b"GET ftp://a.example/ HTTP/1.1",
        b"GET ws://a.example/ HTTP/1.1", b"GET file:///etc/passwd HTTP/1.1",
        b"GET httpx://a.example/ HTTP/1.1", b"GET http://a.example.b.example/ HTTP/1.1",
        b"GET http://a%2eexample/ HTTP/1.1", b"GET javascript:alert(1) HTTP/1.1",
        b"GET http://[::1]/ HTTP/1.1", b"OPTIONS http://b.example HTTP/1.1",
    )
}  # fmt: skip

REFUSED: Final[dict[str, tuple[bytes, int]]] = {
    **{
        name: (head, 400)
        for table in (
            _TWO_FRAMINGS, _LENGTHS, _TWO_LENGTHS, _CODINGS, _CODING_LINES, _FIELDS,
            _REQUEST_LINES, _HOSTS, _ABSOLUTE,
        )
        for name, head in table.items()
    },
    **{name: (head, 505) for name, head in _VERSIONS.items()},
    **{name: (head, 501) for name, head in _METHODS.items()},
    **{
        f"coding {value!r}": (_coding(value), 501)
        for value in (
            b"gzip", b"deflate", b"compress", b"x-gzip", b"gzip, chunked", b"gzip,chunked",
            b"GZIP, chunked", b"deflate, gzip", b"gzip, deflate, chunked",
        )
    },
    **{
        f"expectation {value!r}": (post(b"Expect: " + value, b"Content-Length: 5"), 417)
        for value in (
            b"", b"100", b"continue", b"100-continued", b"200-ok", b"100-continue, x", b"x",
            b"100-continue;q=1", b'"100-continue"', b"100-continue, 100-continue",
        )
    },
    "expectation twice": (
        post(b"Expect: 100-continue", b"Expect: 100-continue", b"Content-Length: 5"),
        417,
    ),
}  # fmt: skip

ACCEPTED: Final[dict[str, bytes]] = {
    "plain": first(b"GET / HTTP/1.1"),
    "1.0 without host": first(b"GET / HTTP/1.0", b""),
    "1.0 with host": first(b"GET / HTTP/1.0"),
    "every letter of a token": post(b"!#$%&'*+-.^_`|~09azAZ: x"),
    "value with every byte": post(
        b"X: " + bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)]) + b"x"
    ),
    "value empty": post(b"X:", b"Y: "),
    "value in white space": post(b"X: \t y \t "),
    "value without a space": post(b"X:y"),
    "value of colons": post(b"X:::"),
    "underscored framing": post(b"Transfer_Encoding: chunked", b"Content_Length: 9"),
    "framing by near names": post(b"Content-Lengths: 9", b"X-Transfer-Encoding: chunked"),
    "length": _length(b"5"),
    "length with noughts before": _length(b"0005"),
    "length in tabs": post(b"Content-Length:\t5\t"),
    "the greatest length": _length(b"9223372036854775807"),
    "coding": _coding(b"chunked"),
    "coding in spaces": post(b"Transfer-Encoding:   chunked  "),
    "coding on a GET": b"GET / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n",
    **{f"coding {value!r}": _coding(value) for value in (b"Chunked", b"CHUNKED", b"chunkeD")},
    "options for all": first(b"OPTIONS * HTTP/1.1"),
    "options for all, as a URL": first(b"OPTIONS http://a.example HTTP/1.1"),
    **{
        f"minor version {minor}": first(b"GET / HTTP/1.%d" % minor) for minor in range(2, 10)
    },
    **{
        f"host {host!r} beside {target!r}": first(
            b"GET %b HTTP/1.1" % target, b"Host: %b\r\n" % host
        )
        for host, target in (
            (b"a.example:80", b"http://a.example/"), (b"a.example", b"http://a.example:80/"),
            (b"A.example:080", b"http://a.Example"), (b"a.example", b"https://a.example:443/"),
            (b"a.example:443", b"HTTPS://a.example/"), (b"[::1]:80", b"http://[::1]/"),
            (b"[::1]", b"http://[::1]:80/"), (b"[::1]", b"http://[::1]/"),
            (b"a.example:8080", b"http://a.example:8080/"),
        )
    },
    "expectation in odd case": post(b"Expect: 100-Continue", b"Content-Length: 5"),
    **{
        f"method {method!r}": first(method + b" / HTTP/1.1")
        for method in (b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"PROPFIND")
    },
    **{
        f"host {value!r}": _host(value)
        for value in (
            b"a", b"A.Example", b"a.example.", b"a.example:0", b"a.example:65535", b"127.0.0.1",
            b"127.0.0.1:80", b"[::1]", b"[::1]:8080", b"[2001:DB8::1.2.3.4]", b"a_b.example",
            b"xn--caf-dma.example", b"1",
        )
    },
}  # fmt: skip
