"""The work that every system gets: one request, its token, and the files that load makers need.

A POST with a 2 KB JSON body, fifteen header fields as a browser sends them, and a 900-byte RS256
token in a cookie; the answer is 1 KB of JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
class Work:
    """One request, and the key set that its token verifies with."""

    body: bytes
    fields: dict[str, str]
    token: str
    key_set: bytes

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

    def raw_request(self) -> bytes:
        """Return the request as it goes over the wire."""
        fields = {**self.fields, "Content-Length": str(len(self.body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {PATH} HTTP/1.1\r\n{lines}\r\n".encode() + self.body

    def question(self) -> bytes:
        """Return what Traefik asks a forward auth about this request."""
        fields = {**self.fields, **dict(ASKED)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"GET /forward-auth HTTP/1.1\r\n{lines}\r\n".encode()


def make_work(issuer: str) -> Work:
    """Make the request, with a token of `issuer` that lives for a day."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    numbers = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    now = int(time.time())
    claims = {
        "user_id": "user_0123456789",
        "email": "someone@example.com",
        "org_id": ORG,
        "role": "org_owner",
        "plan": "pro",
        "apps": [PRODUCT, "acme-mail", "acme-tasks"],
        "quotas": {},
        "iss": issuer,
        "iat": now,
        "exp": now + 86_400,
        "note": "x" * 120,
    }
    token = jwt.encode(claims, key, algorithm="RS256", headers={"kid": "bench"})
    text = {"model": "small", "messages": [{"role": "user", "content": ""}]}
    padding = BODY_BYTES - len(json.dumps(text))
    text["messages"] = [{"role": "user", "content": "w" * padding}]
    entry = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "bench",
             "n": numbers["n"], "e": numbers["e"]}  # fmt: skip
    fields = {**_FIELDS, "Cookie": f"theme=dark; bb_at={token}"}
    return Work(json.dumps(text).encode(), fields, token, json.dumps({"keys": [entry]}).encode())
