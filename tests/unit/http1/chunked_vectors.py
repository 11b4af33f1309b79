"""Chunked bodies and the verdict on each: conformance families 6 and 7."""

from __future__ import annotations

from typing import Final

END: Final = b"0\r\n\r\n"

_SIZES: Final = {
    f"size {size!r}": size + b"\r\nhello\r\n" + END
    for size in (
        b"", b" ", b"0x5", b"0X5", b"x5", b"5x", b"h", b"g5", b"+5", b"-5", b"-0", b"5.0", b"5_0",
        b"0_5", b"5 ", b" 5", b"\t5", b"5\t", b"5 5", b"5,", b"5:", b"5h", b"#5", b"$5", b"5L",
        b"'5'", b'"5"', b"\\x35", b"%35", b"\x00", b"5\x00", b"\x005", b"5\x0b", b"5\x0c",
        b"\x0b5", b"5\x7f", b"5\x80", b"\xd9\xa5", b"\xb2", b"\xef\xbc\x95", b"five",
        b"0" * 15 + b"5", b"0" * 300 + b"5", b"f" * 16, b"1" + b"0" * 16, b"10000000000000005",
        b"100000000000000000000000000000005", b"5\r", b"\r5", b"5\r\r", b"\n5", b"\r\n5",
    )
}  # fmt: skip
_EXTENSIONS: Final = {
    f"extension {extension!r}": b"5" + extension + b"\r\nhello\r\n" + END
    for extension in (
        b";", b";;", b"; ", b" ; ", b";=", b";=x", b";a=", b";a=;", b";a;", b" a", b";a ",
        b";a=b ", b'; a = "b" ', b" ;a;", b"\x0b;a", b";\x0ba", b";a=\x0cb", b";a= ", b";a b",
        b";a=b c", b';a="', b';a="b', b';a=b"', b';a="b"c', b';a=""b"',
        b';a="\\"', b';a="b\\\\""', b';a="b\x00"', b';a="b\\\x01"', b';a="b\x7f"', b';a="b\rc"',
        b';a="b\nc"', b';a="b\\\rc"', b';a="b\\\nc"', b';a="b"="c"', b';"a"=b', b";a\x00",
        b";a\x0b", b";a=\x01", b";a\x7f", b";a\x80",
        b";\xe9", b";a\r", b";a\n", b";a\rb", b";a\nb", b";\n", b";\rx", b";a=b\rGET / HTTP/1.1",
        b";" + b"a" * 300, b";a=" + b'"' + b"x" * 300 + b'"', b";a,b", b";a/b", b";a(b)", b";{a}",
    )
}  # fmt: skip
_LINE_ENDS: Final = {
    "bare LF after the size": b"5\nhello\r\n" + END,
    "bare CR after the size": b"5\rhello\r\n" + END,
    "bare LF after the data": b"5\r\nhello\n" + END,
    "bare CR after the data": b"5\r\nhello\r" + END,
    "LF CR after the data": b"5\r\nhello\n\r" + END,
    "CR CR LF after the data": b"5\r\nhello\r\r\n" + END,
    "CR CR LF after the size": b"5\r\r\nhello\r\n" + END,
    "nothing after the data": b"5\r\nhello" + END,
    "two line ends after the data": b"5\r\nhello\r\n\r\n" + END,
    "a space after the data": b"5\r\nhello \r\n" + END,
    "two bytes in place of the line end": b"5\r\nhelloXX" + END,
    "CR and another byte in place of the line end": b"5\r\nhello\rX" + END,
    "bare LF after the last chunk": b"0\n\n",
    "bare LF for the empty line": b"0\r\n\n",
    "bare CR after the last chunk": b"0\r\r\n\r\n",
    "bare CR for the empty line": b"0\r\n\rX",
    "an empty line first": b"\r\n5\r\nhello\r\n" + END,
    "all bare LF": b"5\nhello\n0\n\n",
}
_LENGTHS: Final = {
    "data longer than its size": b"4\r\nhello\r\n" + END,
    "data shorter than its size": b"6\r\nhello\r\n" + END,
    "data shorter by far": b"7\r\nhello\r\n" + END,
    "data where none is": b"0\r\nhello\r\n\r\n",
}
_TRAILERS: Final = {
    f"trailer {line!r}": b"0\r\n" + line + b"\r\n\r\n"
    for line in (
        b"X", b"X y", b": y", b":", b"X : y", b"X\t: y", b" X: y", b"\tX: y", b"X: y\r\n z",
        b"X: y\x00", b"X: \x01y", b"X: y\x7f", b"X: y\rz", b"X: y\nz", b"X\x00: y", b"X(: y",
        b"\xe9: y", b"X: y\r", b"X: y\n", b"GET / HTTP/1.1", b"GET /:x HTTP/1.1",
    )
}  # fmt: skip

REFUSED: Final[dict[str, tuple[bytes, int]]] = {
    **{
        name: (body, 400)
        for table in (_SIZES, _EXTENSIONS, _LINE_ENDS, _LENGTHS, _TRAILERS)
        for name, body in table.items()
    },
    "extensions without end": ((b"1;a=" + b"b" * 200 + b"\r\nx\r\n") * 100 + END, 400),
    "trailer section too large": (b"0\r\n" + b"X: " + b"y" * 9000 + b"\r\n\r\n", 431),
    "too many trailers": (b"0\r\n" + b"X: y\r\n" * 2000 + b"\r\n", 431),
}

ACCEPTED: Final[dict[str, tuple[bytes, bytes]]] = {
    "empty": (END, b""),
    "one chunk": (b"5\r\nhello\r\n" + END, b"hello"),
    "two chunks": (b"5\r\nhello\r\n6\r\n world\r\n" + END, b"hello world"),
    "one byte": (b"1\r\nx\r\n" + END, b"x"),
    "size in upper case": (b"A\r\n0123456789\r\n" + END, b"0123456789"),
    "size in lower case": (b"a\r\n0123456789\r\n" + END, b"0123456789"),
    "size in mixed case": (b"1aF\r\n" + b"x" * 0x1AF + b"\r\n" + END, b"x" * 0x1AF),
    "size with noughts before": (b"00005\r\nhello\r\n" + END, b"hello"),
    "last chunk of many noughts": (b"5\r\nhello\r\n000\r\n\r\n", b"hello"),
    "data that looks like framing": (b"9\r\n0\r\n\r\nGET \r\n" + END, b"0\r\n\r\nGET "),
    "data of line ends": (b"4\r\n\r\n\r\n\r\n" + END, b"\r\n\r\n"),
    "data of every byte": (b"100\r\n" + bytes(range(256)) + b"\r\n" + END, bytes(range(256))),
    "data ending in CR": (b"2\r\nx\r\r\n" + END, b"x\r"),
    "extension": (b"5;a\r\nhello\r\n" + END, b"hello"),
    "extension with a value": (b"5;a=b\r\nhello\r\n" + END, b"hello"),
    **{
        f"extension {extension!r}": (b"5" + extension + b"\r\nhello\r\n" + END, b"hello")
        for extension in (
            b"; a",
            b" ;a",
            b"\t;a",
            b" \t; \ta",
            b";a =b",
            b";a= b",
            b"; a\t=\t b ;c",
            b'; a = "b"',
            b';a="b;c"',
            b';a="b\\"c"',
            b';a="\\\\"',
            b';a=";x=\\"";b',
            b';a="b\\\t"',
            b';a="\xe9\\\xe9"',
            b';a="5\\r\\n0"',
            b';a="=";b="\t "',
        )
    },
    "extension with a quoted value": (b'5;a="b c\t"\r\nhello\r\n' + END, b"hello"),
    "extension with an empty quoted value": (b'5;a=""\r\nhello\r\n' + END, b"hello"),
    "extensions": (b"5;a=b;c;d=e\r\nhello\r\n" + END, b"hello"),
    "extension of the last chunk": (b"5\r\nhello\r\n0;a=b\r\n\r\n", b"hello"),
    "extension between clean chunks": (b"1\r\na\r\n1;x\r\nb\r\n1\r\nc\r\n" + END, b"abc"),
    "trailer": (b"5\r\nhello\r\n0\r\nX: y\r\n\r\n", b"hello"),
    "trailers": (b"0\r\nX: y\r\nZ:\r\n\r\n", b""),
}
"""Bodies, and the content of each."""
