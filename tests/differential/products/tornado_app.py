"""Tornado's own server."""

import asyncio
import logging
import sys

from tornado.web import Application, RequestHandler

from tests.differential.products.handlers import EVERY, counts, run


def _handler(**names):
    def verb(name):
        def method(self, *_):
            for field, value in run(name).items():
                self.set_header(field, value)
            self.write("ok")

        return method

    verbs = {method.lower(): verb(name) for method, name in names.items()}
    if "get" in verbs:
        verbs["head"] = verbs["get"]
    return type("Handler", (RequestHandler,), verbs)


def _every(name):
    return _handler(**dict.fromkeys(EVERY, name))


class _Ran(RequestHandler):
    def get(self):
        self.write(counts())


async def _serve(port):
    logging.getLogger("tornado").setLevel(logging.CRITICAL)
    Application(
        [
            (r"/api/paid", _every("paid")),
            (r"/api/items/([^/]+)", _every("item")),
            (r"/api/admin", _every("admin")),
            (r"/api/secret/(.*)", _every("secret")),
            (r"/api/doc", _handler(PUT="doc_put", POST="doc_post")),
            (r"/api/get/?", _handler(GET="get", POST="get_post")),
            (r"/free", _every("free")),
            (r"/free/(.*)", _every("free")),
            (r"/ran", _Ran),
        ]
    ).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(_serve(int(sys.argv[1])))
