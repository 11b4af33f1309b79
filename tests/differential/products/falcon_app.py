"""Falcon, for WSGI with Waitress and for ASGI with Uvicorn."""

import sys

import falcon
import falcon.asgi

from tests.differential.products.handlers import EVERY, counts, run


class _Resource:
    """One handler for some methods, another one for others."""

    def __init__(self, asynchronous, **names):
        for method, name in names.items():
            setattr(self, f"on_{method.lower()}", self._responder(name, asynchronous))

    def _responder(self, name, asynchronous):
        def answer(response):
            if name == "ran":
                response.text = counts()
                return
            response.text = "ok"
            for field, value in run(name).items():
                response.set_header(field, value)

        def responder(request, response, **_):
            answer(response)

        async def responder_async(request, response, **_):
            answer(response)

        return responder_async if asynchronous else responder


def _fill(app, asynchronous):
    def every(name):
        return _Resource(asynchronous, **dict.fromkeys(EVERY, name))

    app.add_route("/api/paid", every("paid"))
    app.add_route("/api/items/{item}", every("item"))
    app.add_route("/api/admin", every("admin"))
    app.add_route("/api/secret/{rest:path}", every("secret"))
    app.add_route("/api/doc", _Resource(asynchronous, PUT="doc_put", POST="doc_post"))
    app.add_route("/api/get", _Resource(asynchronous, GET="get", POST="get_post"))
    app.add_route("/free", every("free"))
    app.add_route("/free/{rest:path}", every("free"))
    app.add_route("/ran", _Resource(asynchronous, GET="ran"))
    return app


app = _fill(falcon.asgi.App(), asynchronous=True)

if __name__ == "__main__":
    import waitress

    wsgi = falcon.App()
    wsgi.req_options.strip_url_path_trailing_slash = True
    waitress.serve(_fill(wsgi, asynchronous=False), host="127.0.0.1", port=int(sys.argv[1]))
