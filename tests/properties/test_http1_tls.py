"""However a ciphertext is cut, joined or damaged, only what the server said comes out of it."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.certificates import loopback_contexts
from tests.fakes.tls_records import Contexts, Wire
from tests.properties.examples import examples

_SIZES = st.lists(st.integers(1, 200) | st.integers(16_000, 40_000), max_size=6)
_VERSIONS = st.sampled_from([ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@cache
def contexts(version: ssl.TLSVersion) -> Contexts:
    """Return contexts of one version of TLS."""
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = loopback_contexts(Path(folder))
    ours.maximum_version = version
    return ours, theirs


def messages(sizes: list[int]) -> list[bytes]:
    """Return messages of these sizes, each of another byte."""
    return [bytes([number]) * size for number, size in enumerate(sizes)]


def on_a_loop(step: Callable[[], None]) -> None:
    """Run it where there is a loop."""

    async def run() -> None:
        step()

    asyncio.run(run())


@settings(max_examples=examples(200))
@given(_VERSIONS, _SIZES, st.integers(1, 3000), st.booleans(), st.booleans())
def test_no_cut_changes_what_arrives(
    version: ssl.TLSVersion,
    sizes: list[int],
    size: int,
    joined: bool,  # noqa: FBT001 - drawn
    closes: bool,  # noqa: FBT001 - drawn
) -> None:
    """Handshake, records and close_notify in pieces of any size, apart or together."""
    said = messages(sizes)

    def step() -> None:
        wire = Wire(contexts(version))
        wire.shake_hands(size)
        data = [wire.server.say(each) for each in said]
        if closes:
            data.append(wire.server.close())
        for each in [b"".join(data)] if joined else data:
            wire.deliver(each, size)
        assert wire.protocol.content == b"".join(said)
        assert (wire.protocol.ended, wire.tls.is_closing()) == (closes, closes)

    on_a_loop(step)


@settings(max_examples=examples(200))
@given(_VERSIONS, _SIZES)
def test_what_is_written_arrives(version: ssl.TLSVersion, sizes: list[int]) -> None:
    """The other way, and close_notify behind it."""
    said = messages(sizes)

    def step() -> None:
        wire = Wire(contexts(version))
        wire.shake_hands()
        for each in said:
            wire.tls.write(each)
        wire.tls.close()
        assert wire.collect() == b"".join(said)
        assert wire.server.closed

    on_a_loop(step)


@settings(max_examples=examples(200))
@given(_VERSIONS, _SIZES.filter(bool), st.integers(0), st.integers(1, 255), st.integers(1, 3000))
def test_damaged_records_end_the_connection(
    version: ssl.TLSVersion, sizes: list[int], place: int, change: int, size: int
) -> None:
    """What came before the damage arrives, nothing of it does, and no end is reported."""
    said = messages(sizes)

    def step() -> None:
        wire = Wire(contexts(version))
        wire.shake_hands()
        data = bytearray(b"".join(map(wire.server.say, said)) + wire.server.close())
        data[place % len(data)] ^= change
        wire.deliver(bytes(data), size)
        wire.tls.connection_lost(None)
        assert b"".join(said).startswith(wire.protocol.content)
        assert not wire.protocol.ended

    on_a_loop(step)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_each_byte_of_a_stream_may_come_alone(version: ssl.TLSVersion) -> None:
    """The smallest pieces there are."""

    def step() -> None:
        wire = Wire(contexts(version))
        wire.shake_hands(1)
        wire.deliver(wire.server.say(b"hello") + wire.server.close(), 1)
        assert (wire.protocol.content, wire.protocol.ended) == (b"hello", True)

    on_a_loop(step)
