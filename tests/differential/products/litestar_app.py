"""Litestar; run with Uvicorn."""

from litestar import Litestar, Response, route

from tests.differential.products.handlers import EVERY, counts, run


def _route(path, name, methods):
    @route(path, http_method=methods, status_code=200)
    async def handler() -> Response[str]:
        return Response("ok", headers=run(name))

    return handler


@route("/ran", http_method=["GET"])
async def _ran() -> Response[str]:
    return Response(counts())


app = Litestar(
    [
        _route("/api/paid", "paid", EVERY),
        _route("/api/items/{item:str}", "item", EVERY),
        _route("/api/admin", "admin", EVERY),
        _route("/api/secret/{rest:path}", "secret", EVERY),
        _route("/api/doc", "doc_put", ["PUT"]),
        _route("/api/doc", "doc_post", ["POST"]),
        _route("/api/get", "get", ["GET"]),
        _route("/api/get", "get_post", ["POST"]),
        _route("/free", "free", EVERY),
        _route("/free/{rest:path}", "free", EVERY),
        _ran,
    ],
    openapi_config=None,
)
