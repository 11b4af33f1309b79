"""CherryPy, with its own dispatcher and server."""

import sys

import cherrypy

from tests.differential.products.handlers import counts, run


def _page(*, deep=False, **names):
    @cherrypy.expose
    def page(*rest, **__):
        if rest and not deep:
            raise cherrypy.NotFound
        method = cherrypy.request.method
        name = names.get("GET" if method == "HEAD" else method) or names.get("every")
        if name is None:
            raise cherrypy.HTTPError(405)
        cherrypy.response.headers.update(run(name))
        return "ok"

    return page


class _Api:
    paid = staticmethod(_page(every="paid"))
    admin = staticmethod(_page(every="admin"))
    secret = staticmethod(_page(every="secret", deep=True))
    doc = staticmethod(_page(PUT="doc_put", POST="doc_post"))
    get = staticmethod(_page(GET="get", POST="get_post"))


class _Items:
    @cherrypy.expose
    def default(self, item=None, *rest):
        if item is None or rest:
            raise cherrypy.NotFound
        cherrypy.response.headers.update(run("item"))
        return "ok"


class _Root:
    api = _Api()
    free = staticmethod(_page(every="free", deep=True))

    @cherrypy.expose
    def ran(self):
        return counts()


_Api.items = _Items()
cherrypy.config.update(
    {
        "server.socket_host": "127.0.0.1",
        "server.socket_port": int(sys.argv[1]),
        "engine.autoreload.on": False,
        "log.screen": False,
    }
)
cherrypy.quickstart(_Root())
