"""aiohttp's own server."""

import sys

from aiohttp import web

from tests.differential.products.handlers import EVERY, counts, run

app = web.Application()


def _add(path, name, methods):
    async def handler(request):
        return web.Response(text="ok", headers=run(name))

    for method in methods:
        if method == "GET":
            app.router.add_get(path, handler)
        else:
            app.router.add_route(method, path, handler)


async def _ran(request):
    return web.Response(text=counts())


_add("/api/paid", "paid", EVERY)
_add("/api/items/{item}", "item", EVERY)
_add("/api/admin", "admin", EVERY)
_add("/api/secret/{rest:.*}", "secret", EVERY)
_add("/api/doc", "doc_put", ["PUT"])
_add("/api/doc", "doc_post", ["POST"])
_add("/api/get", "get", ["GET"])
_add("/api/get", "get_post", ["POST"])
_add("/free", "free", EVERY)
_add("/free/{rest:.*}", "free", EVERY)
app.router.add_get("/ran", _ran)

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
