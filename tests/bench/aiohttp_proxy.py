"""A peer: the proxy that a Python team writes in a day with aiohttp, consume call included.

Run as `python -m tests.bench.aiohttp_proxy PORT UPSTREAM PLATFORM ISSUER [remember]`. It verifies
a token with each request, as the examples of the libraries do; with `remember` once, and accepts it
permanently.
"""

from __future__ import annotations

import json
import sys
from urllib.parse import urlsplit

import aiohttp
import jwt
import uvloop
from aiohttp import web

from tests.bench.work import KEY, PRODUCT

_DROPPED = {"host", "connection", "transfer-encoding", "keep-alive", "content-length"}


def make_app(upstream: str, platform: str, issuer: str, *, remember: bool) -> web.Application:
    """Make the application: verify the cookie, consume, pass on, stream back."""
    app = web.Application(client_max_size=1 << 30)
    seen: dict[str, str] = {}

    async def start(app: web.Application) -> None:
        app["client"] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
        )
        async with app["client"].get(f"{platform}/.well-known/jwks.json") as answer:
            keys = jwt.PyJWKSet.from_dict(await answer.json())
        app["keys"] = {key.key_id: key for key in keys.keys}

    async def stop(app: web.Application) -> None:
        await app["client"].close()

    def org_of(token: str) -> str:
        org = seen.get(token)
        if org is None:
            key = app["keys"][jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, algorithms=["RS256"], issuer=issuer)
            org = str(claims["org_id"])
            if remember:
                seen[token] = org
        return org

    async def handle(request: web.Request) -> web.StreamResponse:
        client = app["client"]
        org = org_of(request.cookies["bb_at"])
        body = {"org_id": org, "resource": "ai_calls", "amount": 1, "product_id": PRODUCT}
        async with client.post(
            f"{platform}/v1/quota/consume", json=body, headers={"X-Internal-Key": KEY}
        ) as answer:
            if not json.loads(await answer.read())["allowed"]:
                return web.json_response({"detail": "over quota"}, status=429)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED}
        async with client.request(
            request.method,
            upstream + request.raw_path,
            headers=headers,
            data=request.content if request.can_read_body else None,
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED}
            response = web.StreamResponse(status=answer.status, headers=kept)
            response.content_length = answer.content_length
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    app.on_startup.append(start)
    app.on_cleanup.append(stop)
    app.router.add_route("*", "/{path:.*}", handle)
    return app


def main() -> None:
    """Serve until ended."""
    port, upstream, platform, issuer, *more = sys.argv[1:]
    uvloop.install()
    parts = urlsplit(platform)
    web.run_app(
        make_app(upstream, f"{parts.scheme}://{parts.netloc}", issuer, remember="remember" in more),
        host="127.0.0.1",
        port=int(port),
        access_log=None,
        print=None,
    )


if __name__ == "__main__":
    main()
