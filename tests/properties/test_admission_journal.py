"""The journal's bytes: any run of records, cut anywhere, is a run of its first records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidecar.admission.credits import Lot
from sidecar.admission.journal import Added, Entry, Gone, Kept, Purpose, Record, Sent, Turned
from sidecar.admission.journal_records import balance_of, encode, scan
from sidecar.model import Charge

KEYS = st.sampled_from(["a", "b", "c"])
TIMES = st.floats(min_value=0, max_value=4e9)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
UNITS = st.integers(min_value=1, max_value=2**53 - 1)
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.builds(
        Added,
        st.builds(
            Entry,
            st.builds(Charge, NAMES, NAMES, NAMES, UNITS, KEYS, st.booleans()),
            st.sampled_from(Purpose),
            TIMES,
            st.none() | TIMES,
            st.booleans(),
        ),
    ),
    st.builds(Sent, KEYS, st.none() | TIMES),
    st.builds(Turned, KEYS),
    st.builds(Gone, KEYS),
    st.builds(Kept, st.builds(Lot, NAMES, NAMES, UNITS, TIMES)),
)


@given(st.lists(RECORDS, max_size=8), st.data())
def test_a_cut_run_of_records_is_its_first_records(
    records: list[Record], data: st.DataObject
) -> None:
    """Whole records before the cut are read as they were, and nothing else is."""
    pieces = [encode(record) for record in records]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, pieces[: n + 1])) for n in range(len(pieces))]
    survivors = sum(end <= cut for end in ends)
    scanned = scan(whole[:cut])
    assert list(scanned.records) == records[:survivors]
    assert not scanned.damaged
    assert balance_of(scanned.records) == balance_of(records[:survivors])


@given(st.lists(RECORDS, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_never_makes_another_record(
    records: list[Record], data: st.DataObject
) -> None:
    """What is read before the damage is what was written there."""
    whole = bytearray(b"".join(map(encode, records)))
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    whole[bit // 8] ^= 1 << bit % 8
    read = scan(bytes(whole)).records
    assert list(read) == records[: len(read)]
    assert len(read) < len(records)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_scanned(data: bytes) -> None:
    """Damage is a result, never an exception."""
    assert scan(data).good <= len(data)
