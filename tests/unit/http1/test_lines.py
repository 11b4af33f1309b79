"""What was read once is not read again, and means the same."""

from __future__ import annotations

import httptools
import pytest

from sidecar.http1 import lines as module
from sidecar.http1.errors import ProtocolError
from sidecar.http1.lines import Events, Field, Lines, feed

START = b"GET / HTTP/1.1"


def ruling_part(field: Field) -> Field | None:
    """Let Host rule."""
    return field if field[0] == b"host" else None


def parse(memory: Lines[bytes], block: bytes) -> tuple[bytes, list[Field]]:
    """Read a head as heads.py does: with what is known, else by the reader."""
    first, lines = block.split(b"\r\n")[0], block.split(b"\r\n")[1:-2]
    start, fields = memory.start(first), list(map(memory.field, lines))
    ruling = list(filter(None, map(memory.ruling, lines)))
    if start is None or not all(fields):
        start, fields, ruling = memory.read(first, lines)
    assert ruling == list(filter(None, map(ruling_part, fields)))
    return start, fields


class Reader:
    """Reads request lines with llhttp, and remembers what it was asked to read."""

    def __init__(self) -> None:
        self.asked: list[list[bytes]] = []

    def __call__(self, start: bytes, lines: list[bytes]) -> tuple[bytes, list[Field]]:
        self.asked.append(lines)
        events = Events()
        feed(httptools.HttpRequestParser(events), start, lines)
        return start, events.fields


def head(*lines: bytes) -> bytes:
    """Join a head of these lines."""
    return b"\r\n".join((START, *lines, b"", b""))


@pytest.fixture
def reader() -> Reader:
    """Count what is read."""
    return Reader()


@pytest.fixture
def memory(reader: Reader) -> Lines[bytes]:
    """Remember a little."""
    return Lines(reader, ruling_part, 4096)


def test_a_line_is_read_once(memory: Lines[bytes], reader: Reader) -> None:
    """The second head costs no parser."""
    first = parse(memory, head(b"Host: a", b"X-A:\t1 "))
    assert parse(memory, head(b"Host: a", b"X-A:\t1 ")) == first
    assert first == (START, [(b"host", b"a"), (b"x-a", b"1")])
    assert reader.asked == [[b"Host: a", b"X-A:\t1 "]]


def test_only_new_lines_are_read_and_all_keep_their_order(
    memory: Lines[bytes], reader: Reader
) -> None:
    """New lines stand where they stood in the head, those that came twice included."""
    parse(memory, head(b"A: 1", b"B: 2"))
    found = parse(memory, head(b"C: 3", b"B: 2", b"C: 3", b"A: 1", b"D: 4"))
    assert found[1] == [(b"c", b"3"), (b"b", b"2"), (b"c", b"3"), (b"a", b"1"), (b"d", b"4")]
    assert reader.asked[1:] == [[b"C: 3", b"C: 3", b"D: 4"]]


def test_a_new_start_line_is_read_with_the_whole_head(memory: Lines[bytes], reader: Reader) -> None:
    """What a field may be can hang on the method."""
    parse(memory, head(b"A: 1"))
    parse(memory, b"PUT / HTTP/1.1\r\nA: 1\r\n\r\n")
    assert reader.asked == [[b"A: 1"], [b"A: 1"]]


@pytest.mark.parametrize(
    "line",
    [b"", b":", b": a", b"a", b"A : b", b" A: b", b"\tA: b", b"A\x00: b", b"A: \x00", b"A: b\rC: d",
     b"A: b\nC: d", b"A: b\r", b"\xe9: b", b"A: \x7f", b"(): a"],
)  # fmt: skip
def test_a_broken_line_is_refused_beside_known_ones_and_never_kept(
    memory: Lines[bytes], line: bytes
) -> None:
    """It is refused as often as it comes, and makes no other line unknown."""
    parse(memory, head(b"A: b", b"C: d"))
    for _ in range(2):
        with pytest.raises(ProtocolError):
            parse(memory, head(b"A: b", line, b"C: d"))
    assert parse(memory, head(b"A: b", b"C: d"))[1] == [(b"a", b"b"), (b"c", b"d")]


def test_what_is_wrong_is_told_of_the_whole_head(memory: Lines[bytes], reader: Reader) -> None:
    """Who answers by what else the head holds sees all of it."""
    parse(memory, head(b"A: 1"))
    with pytest.raises(ProtocolError):
        parse(memory, head(b"A: 1", b"B\x01: 2"))
    assert reader.asked[-1] == [b"A: 1", b"B\x01: 2"]


@pytest.mark.parametrize("block", [b"\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\n"])
def test_hardly_a_head(memory: Lines[bytes], block: bytes) -> None:
    """Whatever is given, it is read or refused."""
    try:
        assert parse(memory, block)[1] == []
    except ProtocolError:
        return


def test_memory_has_a_bound(reader: Reader) -> None:
    """A client that invents lines pushes out what is known, and no more than that."""
    memory: Lines[bytes] = Lines(reader, ruling_part, 4000)
    for number in range(200):
        parse(memory, head(b"Host: a", b"X-%d: y" % number))
        assert len(memory._fields) + len(memory._starts) <= 4000 // 256
    assert parse(memory, head(b"Host: a"))[1] == [(b"host", b"a")]


def test_what_is_known_takes_no_room_again(memory: Lines[bytes], reader: Reader) -> None:
    """A line that never comes again, in every head, does not push out those that always do."""
    for number in range(8):
        parse(memory, head(b"Host: a", b"X-Request-ID: %d" % number))
    kept = [START, b"Host: a", *(b"X-Request-ID: %d" % number for number in range(8))]
    assert memory._left == 4096 - sum(2 * len(line) + 256 for line in kept)
    assert all(b"Host: a" not in asked for asked in reader.asked[1:])


def test_a_very_long_line_is_not_kept(memory: Lines[bytes], reader: Reader) -> None:
    """One line cannot take the memory of many."""
    line = b"Cookie: " + b"c" * 8192
    for _ in range(2):
        assert parse(memory, head(line))[1] == [(b"cookie", b"c" * 8192)]
    assert reader.asked == [[line], [line]]


def test_a_name_is_checked_twice(memory: Lines[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """What llhttp refuses is refused here as well, should it ever let it pass."""
    monkeypatch.setattr(module, "_TOKEN", b"Hhost")
    with pytest.raises(ProtocolError, match="not a token"):
        parse(memory, head(b"X: y"))


def test_a_parser_that_loses_a_line_is_not_believed(
    memory: Lines[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields are told apart by their place, so there must be one for each line."""
    monkeypatch.setattr(Events, "on_header", lambda events, name, value: None)
    with pytest.raises(ProtocolError):
        parse(memory, head(b"X: y"))


def test_a_fault_of_ours_is_no_fault_of_the_client(
    memory: Lines[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not the client's doing is not answered as a bad request."""

    def fail(events: Events, name: bytes, value: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(Events, "on_header", fail)
    with pytest.raises(httptools.HttpParserCallbackError):
        parse(memory, head(b"X: y"))


def test_what_rules_is_known_as_long_as_its_line_is(reader: Reader) -> None:
    """A line that is known, and not known to rule, would pass unchecked."""
    memory: Lines[bytes] = Lines(reader, ruling_part, 4000)
    for number in range(50):
        parse(memory, head(b"Host: a%d" % (number % 7), b"X-%d: y" % number))
        hosts = {line for line, field in memory._fields.items() if field[0] == b"host"}
        assert hosts == set(memory._ruling)
