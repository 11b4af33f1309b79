from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidecar.commands.diagnosis import Diagnosis, Level
from sidecar.commands.probes import try_product, try_token
from sidecar.local_platform import LocalPlatform
from sidecar.settings.values import Origin, parse_origin
from tests.unit.commands.conftest import ORG, PRODUCT, seed


@contextlib.asynccontextmanager
async def product(answer: bytes) -> AsyncIterator[Origin]:
    """Answer each connection with these bytes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield parse_origin(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


@pytest.mark.parametrize(
    ("answer", "level", "said"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Level.OK, "answers 200"),
        (b"HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", Level.OK, "answers 404"),
        (b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Level.WARNING, "answers 503"),
        (b"220 mail.example ESMTP\r\n", Level.FAILURE, "protocol"),
        (b"", Level.FAILURE, "closed_early"),
    ],
)
async def test_the_product_is_called(answer: bytes, level: Level, said: str) -> None:
    """Any answer of an HTTP server shows that the sidecar would reach it."""
    async with product(answer) as upstream:
        found = await try_product(upstream)
    assert found.level is level
    assert said in found.text
    assert found.hint or level is Level.OK


async def test_a_product_that_does_not_listen_is_a_failure() -> None:
    """With the same hint as the sidecar's log."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        found = await try_product(Origin("http", "127.0.0.1", taken.getsockname()[1]))
    assert (found.level, "connect" in found.text) == (Level.FAILURE, True)
    assert "--upstream" in found.hint


async def test_a_product_that_does_not_speak_tls_is_a_failure() -> None:
    """Named by what the TLS library says."""
    async with product(b"HTTP/1.1 400 No\r\n\r\n") as plain:
        found = await try_product(Origin("https", plain.host, plain.port))
    assert (found.level, ": tls: " in found.text) == (Level.FAILURE, True)


async def test_what_is_not_given_is_not_checked() -> None:
    """And the hint names the flag."""
    auth = Origin("http", "127.0.0.1", 9)
    found = [await try_product(None), await try_token(None, auth, auth.url, PRODUCT)]
    assert [each.level for each in found] == [Level.NOT_CHECKED] * 2
    assert [each.hint.split()[1] for each in found] == ["--upstream", "--token-file"]


async def token_tried(
    folder: Path, *, issuer: str = "", name: str = PRODUCT, ttl: int = 60, text: str = ""
) -> Diagnosis:
    """Try a token of the local platform, or another text."""
    file = folder / "token"
    async with LocalPlatform(seed=seed(), close_deadline=0.5) as platform:
        claims = {"iat": 1, "exp": 2} if ttl < 0 else {}
        file.write_text(text or platform.mint_token(ORG, ttl=abs(ttl), claims=claims) + "\n")
        return await try_token(file, parse_origin(platform.url), issuer or platform.url, name)


async def test_a_good_token_is_accepted(tmp_path: Path) -> None:
    """Its issuer, key and product are those of the settings."""
    found = await token_tried(tmp_path)
    assert (found.level, found.text) == (Level.OK, f"accepted, of org {ORG}")


async def test_a_wrong_issuer_is_named_beside_the_tokens_own(tmp_path: Path) -> None:
    """The one silent mistake that refuses every caller."""
    found = await token_tried(tmp_path, issuer="https://auth.example")
    assert found.level is Level.FAILURE
    assert "wrong_issuer: `iss` is 'http://127.0.0.1:" in found.text
    assert "expected is 'https://auth.example'" in found.text
    assert "--issuer" in found.hint


@pytest.mark.parametrize(
    ("text", "ttl", "kind"),
    [("not a token", 60, "malformed"), ("", -60, "expired")],
)
async def test_another_token_is_refused_with_its_kind(
    tmp_path: Path, text: str, ttl: int, kind: str
) -> None:
    """The word of the metric, and what to do."""
    found = await token_tried(tmp_path, text=text, ttl=ttl)
    assert (found.level, found.text) == (Level.FAILURE, f"refused: {kind}")
    assert found.hint


async def test_a_token_without_the_product_is_a_warning(tmp_path: Path) -> None:
    """Such a user gets 403."""
    found = await token_tried(tmp_path, name="other-app")
    assert found.level is Level.WARNING
    assert "'other-app'" in found.text


async def test_a_token_of_an_auth_host_that_is_not_there(tmp_path: Path) -> None:
    """No key set, so no token can be checked."""
    file = tmp_path / "token"
    async with LocalPlatform(seed=seed(), close_deadline=0.5) as platform:
        file.write_text(platform.mint_token(ORG))
        url = platform.url
    found = await try_token(file, parse_origin(url), url, PRODUCT)
    assert (found.level, found.text) == (Level.FAILURE, "refused: keys_unavailable")
    assert "--auth-url" in found.hint


async def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    """It is named, with the flag."""
    auth = Origin("http", "127.0.0.1", 9)
    found = await try_token(tmp_path / "none", auth, auth.url, PRODUCT)
    assert found.level is Level.FAILURE
    assert "--token-file" in found.hint
