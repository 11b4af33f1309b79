"""Starlette; run with Uvicorn."""

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.differential.products.handlers import EVERY, counts, run


def _route(path, name, methods):
    async def handler(request):
        return PlainTextResponse("ok", headers=run(name))

    return Route(path, handler, methods=methods)


async def _ran(request):
    return PlainTextResponse(counts())


app = Starlette(
    routes=[
        _route("/api/paid", "paid", EVERY),
        _route("/api/items/{item}", "item", EVERY),
        _route("/api/admin", "admin", EVERY),
        _route("/api/secret/{rest:path}", "secret", EVERY),
        _route("/api/doc", "doc_put", ["PUT"]),
        _route("/api/doc", "doc_post", ["POST"]),
        _route("/api/get", "get", ["GET"]),
        _route("/api/get", "get_post", ["POST"]),
        _route("/free", "free", EVERY),
        _route("/free/{rest:path}", "free", EVERY),
        Route("/ran", _ran),
    ]
)
