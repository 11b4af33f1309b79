"""Sanic's own server."""

import sys

from sanic import Sanic
from sanic.response import text

from tests.differential.products.handlers import EVERY, counts, run

app = Sanic("product", configure_logging=False)


def _add(path, name, methods):
    async def handler(request, **_):
        return text("ok", headers=run(name))

    app.add_route(handler, path, methods=methods, name=f"{name}{len(app.router.routes_all)}")


_add("/api/paid", "paid", EVERY)
_add("/api/items/<item:str>", "item", EVERY)
_add("/api/admin", "admin", EVERY)
_add("/api/secret/<rest:path>", "secret", EVERY)
_add("/api/doc", "doc_put", ["PUT"])
_add("/api/doc", "doc_post", ["POST"])
_add("/api/get", "get", ["GET"])
_add("/api/get", "get_post", ["POST"])
_add("/free", "free", EVERY)
_add("/free/<rest:path>", "free", EVERY)


@app.get("/ran")
async def _ran(request):
    return text(counts())


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), single_process=True, access_log=False)
