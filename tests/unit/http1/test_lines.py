"""What a field line says, and that it is read once."""

from __future__ import annotations

import pytest

from sidecar.http1.errors import ProtocolError
from sidecar.http1.lines import Field, memory_of_lines, memory_of_starts, read_field


def rules(field: Field) -> Field | None:
    """Let Host rule."""
    return field if field[0] == b"host" else None


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"Host: a", (b"host", b"a")),
        (b"X-A:\t1 ", (b"x-a", b"1")),
        (b"X-A:", (b"x-a", b"")),
        (b"X-A: \t ", (b"x-a", b"")),
        (b"A: b: c", (b"a", b"b: c")),
        (b"!#$%&'*+-.^_`|~: \x80\xff", (b"!#$%&'*+-.^_`|~", b"\x80\xff")),
    ],
)
def test_a_line_is_a_name_in_lower_case_and_a_value_without_blanks(
    line: bytes, field: Field
) -> None:
    """As RFC 9112, 5, has it."""
    assert read_field(line) == field


@pytest.mark.parametrize(
    "line",
    [b"", b":", b": a", b"a", b"A : b", b" A: b", b"\tA: b", b"A\x00: b", b"A: \x00", b"A: b\rC: d",
     b"A: b\nC: d", b"A: b\r", b"\xe9: b", b"A: \x7f", b"(): a", b"Transfer-Encoding: chunked\t"],
)  # fmt: skip
def test_a_broken_line_is_refused_as_often_as_it_comes(line: bytes) -> None:
    """And it is never kept."""
    table = memory_of_lines(rules)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            table[line]
    assert not table


def test_what_rules_is_known_with_its_line() -> None:
    """A line that is known, and not known to rule, would pass unchecked."""
    table = memory_of_lines(rules)
    for _ in range(2):
        assert table[b"Host: a"] == ((b"host", b"a"), (b"host", b"a"))
        assert table[b"X: y"] == ((b"x", b"y"), None)
    assert len(table) == 2


def test_a_line_of_one_message_is_not_kept() -> None:
    """An ID that never comes again, in every head, pushes out nothing."""
    table = memory_of_lines(rules)
    for number in range(8):
        assert table[b"X-Request-ID: %d" % number] == ((b"x-request-id", b"%d" % number), None)
    assert not table


def test_memory_has_a_bound() -> None:
    """A client that invents lines pushes out what is known, and no more than that."""
    table = memory_of_lines(rules, 4000)
    for number in range(200):
        assert table[b"X-%d: y" % number] == ((b"x-%d" % number, b"y"), None)
        assert len(table) <= 4000 // 256


def test_a_start_line_is_read_once() -> None:
    """Whatever it says."""
    asked: list[bytes] = []

    def read(line: bytes) -> bytes:
        asked.append(line)
        return line

    table = memory_of_starts(read)
    assert [table[b"GET / HTTP/1.1"] for _ in range(3)] == [b"GET / HTTP/1.1"] * 3
    assert asked == [b"GET / HTTP/1.1"]
