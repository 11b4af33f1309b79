"""The journal's bytes: any run of records, cut or damaged anywhere, loses no other record."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sidecar.admission.credits import Lot
from sidecar.admission.journal_entries import Entry, Purpose
from sidecar.admission.journal_records import FILE_HEAD, encode, read_contents
from sidecar.domain.model import Charge

TIMES = st.floats(min_value=0, max_value=4e9)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UNITS = st.integers(min_value=1, max_value=2**53 - 1)
RECORDS: st.SearchStrategy[Entry | Lot] = st.one_of(
    st.builds(
        Entry,
        st.builds(Charge, NAMES, NAMES, NAMES, UNITS, NAMES, st.booleans()),
        st.sampled_from(Purpose),
        TIMES,
        st.none() | TIMES,
        st.booleans(),
    ),
    st.builds(Lot, NAMES, NAMES, UNITS, TIMES),
)


def _read(data: bytes) -> list[Entry | Lot]:
    return [frame.record for frame in read_contents(data).frames]


@given(st.lists(RECORDS, max_size=8), st.data())
def test_a_cut_run_of_records_is_its_first_records(
    records: list[Entry | Lot], data: st.DataObject
) -> None:
    """Whole records before the cut are read as they were, and nothing else is."""
    pieces = [FILE_HEAD, *map(encode, records)]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, pieces[: n + 2])) for n in range(len(records))]
    survivors = sum(end <= cut for end in ends)
    assert _read(whole[:cut]) == records[:survivors]
    assert read_contents(whole[:cut]).damage == b""


@given(st.lists(RECORDS, min_size=1, max_size=6), st.data())
def test_damage_anywhere_loses_only_what_it_hits(
    records: list[Entry | Lot], data: st.DataObject
) -> None:
    """Records before and behind overwritten bytes are read as they were written."""
    pieces = list(map(encode, records))
    whole = bytearray(FILE_HEAD + b"".join(pieces))
    at = data.draw(st.integers(0, len(whole) - 1))
    garbage = data.draw(st.binary(min_size=1, max_size=len(whole) - at))
    hit = set()
    offset = len(FILE_HEAD)
    for number, piece in enumerate(pieces):
        if offset < at + len(garbage) and at < offset + len(piece):
            hit.add(number)
        offset += len(piece)
    whole[at : at + len(garbage)] = garbage
    read = _read(bytes(whole))
    for number, record in enumerate(records):
        assert number in hit or record in read


@given(st.binary(max_size=200))
def test_any_bytes_can_be_read(data: bytes) -> None:
    """Damage and other files are results, never a crash."""
    for begun in (data, FILE_HEAD + data):
        with contextlib.suppress(ValueError):
            assert read_contents(begun).size <= len(begun) + len(FILE_HEAD)
