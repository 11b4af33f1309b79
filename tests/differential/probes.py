"""What is asked for: the products' routes in spellings that some product may read as them.

The known evasions come first, in every combination with the routes; then what a seed makes of
them: families of odd spellings, one to three at once, with methods and override fields.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

ROUTES: Final = (
    "/api/paid", "/api/items/x", "/api/admin", "/api/secret/x", "/api/doc", "/api/get",
    "/api/items", "/api/secret", "/free", "/free/x", "/else",
)  # fmt: skip
METHODS: Final = ("GET", "GET", "POST", "POST", "POST", "PUT", "HEAD", "PATCH", "DELETE", "OPTIONS")
FIELDS: Final = (
    "X-HTTP-Method-Override: {}", "X-HTTP-Method: {}", "X-Method-Override: {}",
    "x-http-method-override: {}", "X.HTTP.Method.Override: {}", "X-HTTP-Method-Override:\t{}",
    "X-HTTP-METHOD-OVERRIDE: DELETE, {}", "Connection: Upgrade\r\nUpgrade: websocket",
    "Connection: Upgrade, X-Y\r\nUpgrade: WebSocket", "Upgrade: h2c", "X-Original-URL: /free",
    "X-Rewrite-URL: /free", "X-Forwarded-Prefix: /free", "X-Forwarded-Method: {}",
)  # fmt: skip
SUFFIXES: Final = (
    "/", "//", "/.", "/./", "/x/..", "/x/../", ".", "..", "...", "%20", "%2e", "%00", "%00.png",
    "%0a", "%0d%0a", "%09", "%7f", "%c2%a0", "%e2%80%a8", ";", ";x", ";x=1", ";/x", ";/../x", "%3b",
    "%3b/x", "%3f", "%3fx", "?x", "?", "?/../free", "?_method={}", "%23", "%23x", "%253f", "\\",
    "\\x", "%5c", "%5cx", "%2f", "%2F", "%2f%2e%2e%2fpaid", "%252f", "%c0%af", "%ff", "%c3", "%ad",
    "%e2%82", "%f0%80%80%af", "%", "%zz", "%u0061", "+", "!", "~", "'", "*", ":", "@", "&x", ",",
    ".json", ".html", "%2ejson", "/index.html", "%EF%BC%8F", "%EF%BC%9B", "%e2%80%8b", "%c2%ad",
)  # fmt: skip
PREFIXES: Final = (
    "/", "//", "/.", "/./", "/..", "/../..", "/x/..", "/free/..", "/free/../", "/free/%2e%2e",
    "/free/.%2e", "/free/..;", "/free/..;x", "/free%2f..", "/free%2f%2e%2e",
    "/free/..%2f", "/free/\\..", "/free\\..", "/free/..\\..", "//host", "///host",
    "/\\host", "\\\\host", "//host:80", "//u@host", "//free", "/;", "/;x", "/free;", "/free;/..",
    "/%2f", "/%2fhost", "/%5chost", "/%5c", "/%00",
    "/%20", "/%09", "/%0a", "/free/x/../..", "/free//..", "/free//../..", "/%2e", "/%252e%252e",
    "/free/%252e%252e", "/free/%c0%ae%c0%ae", "/http://host", "http://host", "/api/..", "/%2e%2f",
    "/free%3b", "/free%3f", "/free?", "/free%23", "/.%00", "/free/%EF%BC%8E%EF%BC%8E",
)  # fmt: skip
INSIDE: Final = (
    "//", "/./", "/x/../", ";/", ";x/", "%2f", "%2F", "%5c", "\\", "%252f", "/%2e/", "/%2e%2e/api/",
    "%c0%af", "/%00/", "%ef%bc%8f", "/;/", "/;x/", "%2f/", "/%2f", "/%20/", "/\t/", "%3b/", "/.//",
)  # fmt: skip
_ODD_LETTERS: Final = {"i": "%C4%B1", "s": "%C5%BF", "k": "%E2%84%AA", "a": "%EF%BD%81"}


@dataclass(frozen=True, slots=True)
class Probe:
    """One request."""

    method: str
    target: str
    field: str = ""

    def wire(self, token: str) -> bytes:
        """Return its bytes."""
        lines = [f"{self.method} {self.target} HTTP/1.1", "Host: notes.example.com"]
        if self.field:
            lines.append(self.field)
        lines.append(f"Cookie: bb_at={token}")
        if self.method in {"POST", "PUT", "PATCH"}:
            lines += ["Content-Type: text/plain", "Content-Length: 0"]
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


KNOWN: Final = (
    *(Probe("GET", f"/api/get{suffix}") for suffix in ("", "/", ";x", ";/x", "%ff", "%0a", "%00")),
    *(
        Probe("POST", target)
        for target in (
            "/api/paid", "/api/paid/", "/api/paid;/x", "/api/admin;/x", "//host/api/paid",
            "//host/api/admin", "///host/api/paid", "/\\host/api/paid", "/api/pa%ffid",
            "/api/adm%ffin", "/api/paid%2f", "/api%2fpaid", "/api%2fadmin", "/api/items/a%2Fb",
            "/api/items/",
            "/api/items/;x/y",
            "/free/..%2fapi/paid", "/free%2f..%2fapi%2fpaid", "/free/%2e%2e/api/admin",
            "/free/a%2Fb", "/api/%70aid", "/API/paid", "/api/paid%3f", "/api//paid",
        )
    ),
    *(
        Probe("POST", "/api/doc", f"{name}: {method}")
        for name in ("X-HTTP-Method-Override", "x-http-method", "X-Method-Override")
        for method in ("PUT", "put", "GET", "DELETE, PUT")
    ),
    Probe("POST", "/api/get", "X-HTTP-Method-Override: GET"),
    Probe("PUT", "/api/doc", "X-HTTP-Method-Override: POST"),
)  # fmt: skip


def probes(seed: str, count: int) -> Iterator[Probe]:
    """Give the known probes, then made ones, the same for the same seed."""
    yield from KNOWN[:count]
    chance = random.Random(seed)
    for _ in range(count - len(KNOWN)):
        yield _made(chance)


def _made(chance: random.Random) -> Probe:
    path = chance.choice(ROUTES)
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3))):
        path = chance.choice(_CHANGES)(path, chance)
    method = chance.choice(METHODS)
    other = chance.choice(("PUT", "GET", "POST", "put", "DELETE"))
    field = chance.choice(FIELDS).format(other) if chance.random() < 0.25 else ""
    return Probe(method, path.replace("{}", other), field)


def _suffix(path: str, chance: random.Random) -> str:
    return path + chance.choice(SUFFIXES)


def _prefix(path: str, chance: random.Random) -> str:
    return chance.choice(PREFIXES) + path


def _inside(path: str, chance: random.Random) -> str:
    places = [place for place, char in enumerate(path) if char == "/" and place]
    if not places:
        return path
    place = chance.choice(places)
    return path[:place] + chance.choice(INSIDE) + path[place + 1 :]


def _encode(path: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(path))
    code = f"%{ord(path[place]):02x}"
    form = chance.choice((code, code.upper(), code.replace("%", "%25"), f"%u00{code[1:]}"))
    return path[:place] + form + path[place + 1 :]


def _drop_in(path: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(path))
    odd = chance.choice(
        (
            "%ff",
            "%c3",
            "%e2%82",
            "%00",
            "%09",
            "%0a",
            "%0d",
            "%e2%80%8b",
            "%c2%ad",
            "%7f",
            "%ef%bb%bf",
        )
    )
    return path[:place] + odd + path[place:]


def _letter(path: str, chance: random.Random) -> str:
    place = chance.randrange(1, len(path))
    char = path[place]
    return (
        path[:place]
        + chance.choice((char.upper(), _ODD_LETTERS.get(char, char)))
        + path[place + 1 :]
    )


_CHANGES: Final = (_suffix, _suffix, _prefix, _prefix, _inside, _encode, _drop_in, _letter)
