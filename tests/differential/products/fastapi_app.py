"""FastAPI; run with Uvicorn."""

from fastapi import FastAPI, Response

from tests.differential.products.handlers import EVERY, counts, run

app = FastAPI()


def _add(path, name, methods):
    async def handler():
        return Response("ok", headers=run(name))

    app.add_api_route(path, handler, methods=methods)


_add("/api/paid", "paid", EVERY)
_add("/api/items/{item}", "item", EVERY)
_add("/api/admin", "admin", EVERY)
_add("/api/secret/{rest:path}", "secret", EVERY)
_add("/api/doc", "doc_put", ["PUT"])
_add("/api/doc", "doc_post", ["POST"])
_add("/api/get", "get", ["GET"])
_add("/api/get", "get_post", ["POST"])
_add("/free", "free", EVERY)
_add("/free/{rest:path}", "free", EVERY)


@app.get("/ran")
async def _ran():
    return Response(counts())
