"""The platform as a whole: start, state, close."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from sidecar.domain.errors import UserError
from sidecar.domain.model import Resource
from sidecar.local_platform import LocalPlatform, OrgBody, Seed, SeedProduct
from tests.unit.local_platform import acme


async def test_a_platform_without_a_seed_makes_one() -> None:
    """One product, one org, and keys that work."""
    async with LocalPlatform() as platform, aiohttp.ClientSession() as session:
        seed = platform.seed
        assert seed is not None
        caller = acme.Caller(session, platform.url)
        status, _ = await caller.consume(internal_key=seed.products[0].key, org_id=seed.orgs[0].id)

    assert status == 200


async def test_state_outlives_a_restart(tmp_path: Path) -> None:
    """Counts, remembered answers, changed orgs, and tokens signed before."""
    file = tmp_path / "platform.db"
    async with LocalPlatform(seed=acme.seed(), db=file) as platform:
        async with aiohttp.ClientSession() as session:
            first = await acme.Caller(session, platform.url).consume(idempotency_key="k")
        platform.put_org(acme.ORG, OrgBody(plan="max", quotas={Resource.AI_CALLS: 7}))
        token = platform.mint_token(acme.ORG)

    async with (
        LocalPlatform(seed=acme.seed(), db=file) as platform,
        aiohttp.ClientSession() as session,
    ):
        caller = acme.Caller(session, platform.url)
        assert await caller.consume(idempotency_key="k") == first
        status, body = await caller.ask(
            "GET", "/v1/quota/status", headers={"Cookie": f"bb_at={token}"}
        )
    assert status == 200
    assert (body["quotas"]["ai_calls"]["used"], body["quotas"]["ai_calls"]["limit"]) == (1, 7)


async def test_a_changed_seed_is_laid_over_an_old_database(tmp_path: Path) -> None:
    """What the file says anew holds; what was used stays."""
    file = tmp_path / "platform.db"
    async with LocalPlatform(seed=acme.seed(), db=file):
        pass
    changed = acme.seed()
    org = changed.orgs[0].model_copy(update={"quotas": {Resource.AI_CALLS: 3}})
    changed = changed.model_copy(update={"orgs": [org, *changed.orgs[1:]]})

    async with (
        LocalPlatform(seed=changed, db=file) as platform,
        aiohttp.ClientSession() as session,
    ):
        _, body = await acme.Caller(session, platform.url).consume()

    assert body["limit"] == 3


async def test_an_old_database_keeps_its_keys_to_itself(tmp_path: Path) -> None:
    """Opened without a seed there are no keys to show: only their digests are stored."""
    file = tmp_path / "platform.db"
    async with LocalPlatform(seed=acme.seed(), db=file):
        pass
    async with LocalPlatform(db=file) as platform:
        assert platform.seed is None

    stored = _everything_in(tmp_path)
    assert b"bbas_dev" not in stored
    assert b"bbk_dev" not in stored


def _everything_in(directory: Path) -> bytes:
    """All bytes of all files: the database, and its log where one is left."""
    return b"".join(part.read_bytes() for part in directory.iterdir())


async def test_a_file_of_another_program_is_left_alone(tmp_path: Path) -> None:
    """A database with foreign tables is refused by name."""
    file = tmp_path / "theirs.db"
    theirs = sqlite3.connect(file)
    theirs.execute("CREATE TABLE theirs (x)")
    theirs.close()

    with pytest.raises(UserError, match="belongs to another program"):
        await LocalPlatform(db=file).start()


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """The file is named."""
    file = tmp_path / "notes.txt"
    file.write_text("not a database, though long enough to be read as one" * 20)

    with pytest.raises(UserError, match=r"notes\.txt"):
        await LocalPlatform(db=file).start()


async def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    """Both versions are told."""
    file = tmp_path / "old.db"
    async with LocalPlatform(db=file):
        pass
    old = sqlite3.connect(file)
    old.execute("PRAGMA user_version = 99")
    old.close()

    with pytest.raises(UserError, match="version 99"):
        await LocalPlatform(db=file).start()


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A UserError with the path."""
    with pytest.raises(UserError, match="nowhere"):
        await LocalPlatform(db=tmp_path / "nowhere" / "platform.db").start()


async def test_an_address_in_use_is_named() -> None:
    """A UserError with host and port, and the database is closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(UserError, match=rf"127\.0\.0\.1:{port}"):
            await LocalPlatform().start("127.0.0.1", port)


async def test_a_platform_starts_once_and_closes_as_often_as_asked() -> None:
    """A second start is a mistake of the program, a second close is none."""
    platform = LocalPlatform(seed=Seed(products=[SeedProduct(slug="x", key="bbas_x")]))
    with pytest.raises(RuntimeError, match="not running"):
        _ = platform.url
    await platform.start()
    with pytest.raises(RuntimeError, match="already listens"):
        await platform.start()
    await platform.close()
    await platform.close()
