"""The work that every system gets: requests, their tokens, and the files that load makers need.

A POST with a 2 KB JSON body, fifteen header fields as a browser sends them, and a 900-byte RS256
token in a cookie; the answer is 1 KB of JSON. Or calls that differ, see `Calls`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

PATH: Final = "/api/v1/chat"
OPENAI_PATH: Final = "/v1/chat/completions"
"""Where the AI gateways take the same body."""

ORG: Final = "org_bench"
PRODUCT: Final = "acme-notes"
KEY: Final = "bbas_bench"
BODY_BYTES: Final = 2048
ANSWER_BYTES: Final = 1024
_ID_BYTES: Final = 20

_FIELDS: Final = {
    "Host": "notes.example.com",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-GB,en;q=0.9",
    "Content-Type": "application/json",
    "Origin": "https://notes.example.com",
    "Referer": "https://notes.example.com/chat/4711",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "Cache-Control": "no-cache",
    "X-Client-Version": "web/4.11.0",
}


ASKED: Final = (
    ("X-Forwarded-Method", "POST"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", _FIELDS["Host"]),
    ("X-Forwarded-Uri", PATH),
    ("X-Forwarded-For", "127.0.0.1"),
)
"""What Traefik adds where it asks about that request."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How the calls of a load differ.

    With more than one org, each call has a request ID and a prompt of its own, and the orgs take
    turns. With `streams` every other call asks for a stream.
    """

    orgs: int = 1
    body_bytes: int = BODY_BYTES
    streams: bool = False


ALIKE: Final = Calls()
DISTINCT: Final = Calls(orgs=100)
LARGE: Final = Calls(orgs=100, body_bytes=50_000, streams=True)


@dataclass(frozen=True, slots=True)
class Work:
    """The request, its tokens, one an org, and the key set that they verify with."""

    body: bytes
    fields: dict[str, str]
    tokens: tuple[str, ...]
    key_set: bytes

    @property
    def token(self) -> str:
        """The token of the first org."""
        return self.tokens[0]

    def wrk_script(self, folder: Path, more: Mapping[str, str], *, bodiless: bool = False) -> Path:
        """Write the Lua script by which wrk sends this request, with `more` fields."""
        fields = {**self.fields, **more}
        lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(self.body.decode())}"]
        if bodiless:
            lines = ['wrk.method = "GET"']
        lines += [f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}" for k, v in fields.items()]
        path = folder / "post.lua"
        path.write_text("\n".join(lines) + "\n")
        return path

    def distinct_script(
        self, folder: Path, path: str, more: Mapping[str, str], calls: Calls
    ) -> Path:
        """Write the Lua script by which wrk sends calls that differ."""
        head = [f"POST {path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in {**self.fields, **more}.items()
                 if name != "Cookie"]  # fmt: skip
        kinds = (False, True) if calls.streams else (False, False)
        begins, ends = zip(*(_prompt(calls.body_bytes, stream=kind) for kind in kinds), strict=True)
        lengths = [
            len(begin) + _ID_BYTES + len(end) for begin, end in zip(begins, ends, strict=True)
        ]
        heads = [
            "\r\n".join([*head, f"Content-Length: {length}", "Cookie: theme=dark; bb_at="])
            for length in lengths
        ]
        script = folder / "distinct.lua"
        script.write_text(
            f"""local heads, begins, ends = {_lua(heads)}, {_lua(begins)}, {_lua(ends)}
local tokens = {_lua(self.tokens)}
local run, sent = os.time(), 0
request = function()
  local kind, org = sent % 2 + 1, math.floor(sent / 2) % #tokens + 1
  local id = string.format("%010d-%09d", run, sent)
  sent = sent + 1
  return heads[kind] .. tokens[org] .. "\\r\\nX-Request-ID: " .. id .. "\\r\\n\\r\\n"
    .. begins[kind] .. id .. ends[kind]
end
"""
        )
        return script

    def raw_request(self, path: str = PATH) -> bytes:
        """Return the request as it goes over the wire."""
        fields = {**self.fields, "Content-Length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + self.body

    def distinct_requests(self) -> Iterator[bytes]:
        """Yield requests as `distinct_script` has them sent, without an end."""
        lines = "".join(f"{k}: {v}\r\n" for k, v in self.fields.items() if k != "Cookie")
        begin, end = _prompt(BODY_BYTES, stream=False)
        for number in count():
            name = f"{number:0{_ID_BYTES}}"
            body = begin + name + end
            yield (
                f"POST {PATH} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n"
                f"Cookie: theme=dark; bb_at={self.tokens[number % len(self.tokens)]}\r\n"
                f"X-Request-ID: {name}\r\n\r\n{body}"
            ).encode()

    def question(self) -> bytes:
        """Return what Traefik asks a forward auth about this request."""
        fields = {**self.fields, **dict(ASKED)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"GET /forward-auth HTTP/1.1\r\n{lines}\r\n".encode()


def make_work(issuer: str, orgs: int = 1) -> Work:
    """Make the request, with a token of `issuer` for each org that lives for a day."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    now = int(time.time())
    claims = {
        "user_id": "user_0123456789",
        "email": "someone@example.com",
        "role": "org_owner",
        "plan": "pro",
        "apps": [PRODUCT, "acme-mail", "acme-tasks"],
        "quotas": {},
        "iss": issuer,
        "iat": now,
        "exp": now + 86_400,
        "note": "x" * 120,
    }
    tokens = tuple(
        jwt.encode(
            {**claims, "org_id": f"{ORG}_{number:03}" if orgs > 1 else ORG},
            key, algorithm="RS256", headers={"kid": "bench"},
        )
        for number in range(orgs)
    )  # fmt: skip
    text = {"model": "small", "messages": [{"role": "user", "content": ""}]}
    padding = BODY_BYTES - len(json.dumps(text))
    text["messages"] = [{"role": "user", "content": "w" * padding}]
    entry = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench",
             "n": numbers["n"], "e": numbers["e"]}  # fmt: skip
    fields = {**_FIELDS, "Cookie": f"theme=dark; bb_at={tokens[0]}"}
    return Work(json.dumps(text).encode(), fields, tokens, json.dumps({"keys": [entry]}).encode())


def _prompt(size: int, *, stream: bool) -> tuple[str, str]:
    """Return a prompt's JSON up to the place of its ID, and from there on."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    prompt = {"model": "small", **options, "max_tokens": 256,
              "messages": [{"role": "user", "content": "#"}]}  # fmt: skip
    begin, _, end = json.dumps(prompt).partition("#")
    words = size - len(begin) - _ID_BYTES - len(end)
    return begin, (" lorem" * (words // 6 + 1))[:words] + end


def _lua(texts: Iterable[str]) -> str:
    """Return texts as a table of Lua, which reads JSON's escapes of ASCII as its own."""
    return "{" + ", ".join(map(json.dumps, texts)) + "}"
