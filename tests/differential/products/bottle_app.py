"""Bottle, with Cheroot."""

import sys

from bottle import Bottle, response
from cheroot.wsgi import Server

from tests.differential.products.handlers import EVERY, counts, run

app = Bottle()


def _add(path, name, methods):
    def handler(**_):
        for field, value in run(name).items():
            response.set_header(field, value)
        return "ok"

    app.route(path, methods, handler)


_add("/api/paid", "paid", EVERY)
_add("/api/items/<item>", "item", EVERY)
_add("/api/admin", "admin", EVERY)
_add("/api/secret/<rest:path>", "secret", EVERY)
_add("/api/doc", "doc_put", ["PUT"])
_add("/api/doc", "doc_post", ["POST"])
_add("/api/get", "get", ["GET"])
_add("/api/get", "get_post", ["POST"])
_add("/free", "free", EVERY)
_add("/free/<rest:path>", "free", EVERY)
app.route("/ran", "GET", counts)

Server(("127.0.0.1", int(sys.argv[1])), app).start()
