"""Quart; run with Hypercorn."""

from quart import Quart, Response

from tests.differential.products.handlers import EVERY, counts, run

app = Quart(__name__, static_folder=None)


def _add(path, name, methods):
    async def handler(**_):
        return Response("ok", headers=run(name))

    app.add_url_rule(path, name + path, handler, methods=methods)


_add("/api/paid", "paid", EVERY)
_add("/api/items/<item>", "item", EVERY)
_add("/api/admin", "admin", EVERY)
_add("/api/secret/<path:rest>", "secret", EVERY)
_add("/api/doc", "doc_put", ["PUT"])
_add("/api/doc", "doc_post", ["POST"])
_add("/api/get", "get", ["GET"])
_add("/api/get", "get_post", ["POST"])
_add("/free", "free", EVERY)
_add("/free/<path:rest>", "free", EVERY)


@app.get("/ran")
async def _ran():
    return counts()
