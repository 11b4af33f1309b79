"""What hostile callers send, for `isolation`: run as `python -m tests.bench.attacks NAME ...`.

Prints "attacking" once the attack has begun, and continues until the process is ended. Bodies are
made before that, so that the attacker takes little from the load core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import itertools
import resource
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import uvloop

from sidecar.http1.delivery import reset_on_close

MIB: Final = 1024 * 1024
COUNTED: Final = "/api/v1/counted"
"""The metered route whose amount is read from the body."""

CONSTANT: Final = "/api/v1/chat"
"""The metered route of one unit a call."""

WEBHOOK: Final = "/api/_sidecar/events"
ROUTES: Final = 1000
MOST_CONNECTIONS: Final = 2000
"""The cap that `idle` fills, less what the honest callers need."""

_LOADERS: Final = 10
_HONEST: Final = 50


@dataclass(slots=True)
class Attacker:
    """Where an attack goes, and what it holds open."""

    port: int
    admin: int
    token: str
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    answers: Counter[str] = field(default_factory=Counter)
    held: list[asyncio.StreamWriter] = field(default_factory=list)

    def head(self, method: str, path: str, *fields: str, length: int | None = None) -> bytes:
        """Return a head with this attacker's token."""
        lines = [f"{method} {path} HTTP/1.1", "Host: notes.example.com", *fields]
        if not any(line.startswith("Cookie:") for line in fields):
            lines.append(f"Cookie: bb_at={self.token}")
        if length is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {length}"]
        return "\r\n".join([*lines, "", ""]).encode()

    async def ask(self, raw: bytes, *, port: int | None = None) -> None:
        """Send one request on a connection of its own, and read the answer to its end.

        With "Connection: close"; otherwise the beginning of it, which is all of a refusal.
        """
        self.begun.set()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(10):
                reader, writer = await asyncio.open_connection("127.0.0.1", port or self.port)
                try:
                    writer.write(raw)
                    answer = await reader.read(-1 if b"Connection: close" in raw else 65536)
                    self.answers[answer[9:12].decode("latin-1")] += 1
                finally:
                    writer.close()

    async def hold(self, raw: bytes) -> None:
        """Send the beginning of a request, and keep the connection open."""
        self.begun.set()
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(raw)
            self.held.append(writer)

    async def repeat(self, requests: Iterator[bytes], *, port: int | None = None) -> None:
        """Send one request after another."""
        for raw in requests:
            await self.ask(raw, port=port)


Attack = Callable[[Attacker], Awaitable[None]]


def refused_bodies() -> dict[str, bytes]:
    """Return JSON of 1 MiB, by what is wrong with it or costly in it."""
    end = b',"y":"n","n":99}'
    few = (MIB - 100) // 3
    many = b",".join(b'"k%d":0' % number for number in range(MIB // 12))
    return {
        "wide": b'{"x":[' + b",".join([b"{}"] * few) + b"]" + end,
        "repeated": b'{"n":1,"x":"' + b"a" * (MIB - 100) + b'","n":2}',
        "deep": b'{"x":' + b"[" * (MIB // 2 - 100) + b"]" * (MIB // 2 - 100) + end,
        "keys": b"{" + many + end,
        "escapes": b'{"x":"' + rb"\u0061" * (MIB // 6 - 20) + b'"' + end,
    }


def bombs() -> dict[str, bytes]:
    """Return small gzip members that grow a thousandfold."""
    spaces = b"{" + b" " * (20 * MIB) + b'"n":1}'
    nested = b'{"x":"' + b"a" * (MIB - 20) + b'","n":99}'
    return {"spaces": gzip.compress(spaces), "just within": gzip.compress(nested)}


async def _json(attacker: Attacker, bodies: list[bytes]) -> None:
    whole = [attacker.head("POST", COUNTED, length=len(body)) + body for body in bodies]
    await asyncio.gather(*(attacker.repeat(itertools.cycle(whole)) for _ in range(_LOADERS)))


def _json_of(kind: str) -> Attack:
    async def attack(attacker: Attacker) -> None:
        await _json(attacker, [refused_bodies()[kind]])

    return attack


async def _bombs(attacker: Attacker) -> None:
    whole = [
        attacker.head("POST", COUNTED, "Content-Encoding: gzip", length=len(body)) + body
        for body in bombs().values()
    ]
    await asyncio.gather(*(attacker.repeat(itertools.cycle(whole)) for _ in range(_LOADERS)))


async def _admin_bombs(attacker: Attacker) -> None:
    body = gzip.compress(b" " * (16 * MIB)) * 64  # members of one file: 1 MB that grows to 1 GiB
    raw = attacker.head("POST", "/reload", "Content-Encoding: gzip", length=len(body)) + body
    loops = (attacker.repeat(itertools.repeat(raw), port=attacker.admin) for _ in range(40))
    await asyncio.gather(*loops)


async def _admin_bodies(attacker: Attacker) -> None:
    body = b"x" * MIB
    whole = [
        attacker.head(method, path, length=len(body)) + body
        for method, path in (("GET", "/health"), ("POST", "/reload"), ("PUT", "/metrics"))
    ]
    loops = (attacker.repeat(itertools.cycle(whole), port=attacker.admin) for _ in range(_LOADERS))
    await asyncio.gather(*loops)


async def _scrapes(attacker: Attacker) -> None:
    for number in range(ROUTES):
        await attacker.ask(attacker.head("POST", f"/r/{number}", length=0))
    raw = attacker.head("GET", "/metrics", "Connection: close")
    await asyncio.gather(
        *(attacker.repeat(itertools.repeat(raw), port=attacker.admin) for _ in range(4))
    )


async def _unfinished(attacker: Attacker) -> None:
    raw = attacker.head("POST", COUNTED, length=MIB) + b'{"x":"' + b"a" * (MIB - 100)
    for _ in range(140):
        await attacker.hold(raw)


async def _stalled(attacker: Attacker) -> None:
    raw = attacker.head("POST", COUNTED, length=MIB) + b"{"
    for _ in range(500):
        await attacker.hold(raw)


async def _fields(attacker: Attacker) -> None:
    def requests(loader: int) -> Iterator[bytes]:
        for number in itertools.count():
            fresh = (f"X-{loader}-{number}-{each}: {number * 97 + each}" for each in range(90))
            yield attacker.head("GET", "/page", *fresh)

    await asyncio.gather(*(attacker.repeat(requests(loader)) for loader in range(_LOADERS)))


async def _cookies(attacker: Attacker) -> None:
    crumbs = "; ".join(f"c{number}=v" for number in range(3000))
    raw = attacker.head("POST", CONSTANT, f"Cookie: {crumbs}; bb_at={attacker.token}", length=0)
    loops = (attacker.repeat(itertools.repeat(raw)) for _ in range(_LOADERS))
    await asyncio.gather(*loops)


async def _tokens(attacker: Attacker) -> None:
    signed, _, signature = attacker.token.rpartition(".")

    def requests(loader: int) -> Iterator[bytes]:
        for number in itertools.count():
            wrong = f"{loader}x{number}x".ljust(len(signature), "A")
            yield attacker.head("POST", CONSTANT, f"Cookie: bb_at={signed}.{wrong}", length=0)

    await asyncio.gather(*(attacker.repeat(requests(loader)) for loader in range(_LOADERS)))


async def _trickle(attacker: Attacker) -> None:
    forged = f"X-Bizbasics-Signature: sha256={'0' * 64}"
    raw = attacker.head("POST", WEBHOOK, "Cookie: none=1", forged, length=60_000)

    async def stranger() -> None:
        while True:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
                writer.write(raw)
                attacker.begun.set()
                answer = asyncio.ensure_future(reader.read(65536))
                while not answer.done():
                    writer.write(b" ")
                    await asyncio.wait([answer], timeout=0.5)
                writer.close()
                attacker.answers[answer.result()[9:12].decode("latin-1")] += 1
            await asyncio.sleep(1)  # a flood of new connections is another attack

    await asyncio.gather(*(stranger() for _ in range(1000)))


async def _flood(attacker: Attacker) -> None:
    async def stranger() -> None:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", attacker.port)
                attacker.begun.set()
                reset_on_close(writer.transport)
                writer.transport.abort()
            await asyncio.sleep(0)

    await asyncio.gather(*(stranger() for _ in range(64)))


async def _reviews(attacker: Attacker) -> None:
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    bodies = [b"[" + b"{}," * (size // 3) + b"{}]" for size in (3 * MIB - 100, 8 * MIB)]

    async def stranger() -> None:
        for body in itertools.cycle(bodies):
            head = f"POST /mutate HTTP/1.1\r\nHost: h\r\nContent-Length: {len(body)}\r\n\r\n"
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(10):
                    address = ("127.0.0.1", attacker.port)
                    reader, writer = await asyncio.open_connection(*address, ssl=trusting)
                    attacker.begun.set()
                    writer.write(head.encode() + body)
                    await reader.read(65536)
                    writer.transport.abort()

    await asyncio.gather(*(stranger() for _ in range(_LOADERS)))


async def _idle(attacker: Attacker) -> None:
    for _ in range(MOST_CONNECTIONS - _HONEST):
        await attacker.hold(b"")


async def _metered(attacker: Attacker) -> None:
    raw = attacker.head("POST", CONSTANT, length=0)
    await asyncio.gather(*(attacker.repeat(itertools.repeat(raw)) for _ in range(64)))


ATTACKS: Final[dict[str, Attack]] = {
    "json wide": _json_of("wide"),
    "json repeated": _json_of("repeated"),
    "json deep": _json_of("deep"),
    "json keys": _json_of("keys"),
    "json escapes": _json_of("escapes"),
    "bombs": _bombs,
    "admin bombs": _admin_bombs,
    "admin bodies": _admin_bodies,
    "scrapes": _scrapes,
    "unfinished": _unfinished,
    "stalled": _stalled,
    "fields": _fields,
    "cookies": _cookies,
    "tokens": _tokens,
    "trickle": _trickle,
    "flood": _flood,
    "reviews": _reviews,
    "idle": _idle,
    "metered": _metered,
}
"""Each attack by its name; one returns when all that it holds is held, or never."""


async def _main(name: str, attacker: Attacker) -> None:
    attack = asyncio.ensure_future(ATTACKS[name](attacker))
    await attacker.begun.wait()
    await asyncio.sleep(0.5)
    print("attacking", flush=True)
    await attack
    await asyncio.Event().wait()  # holds what it holds


def main() -> None:
    """Read the arguments and attack."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=ATTACKS)
    parser.add_argument("port", type=int)
    parser.add_argument("admin", type=int)
    parser.add_argument("token")
    args = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(_main(args.name, Attacker(args.port, args.admin, args.token)))


if __name__ == "__main__":
    main()
