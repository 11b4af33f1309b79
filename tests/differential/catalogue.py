"""The products that are driven: real frameworks with the same routes, and how each is started."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
NODE_MODULES: Final = ROOT / ".differential/node_modules"
_FOLDER: Final = Path(__file__).parent / "products"
_PACKAGE: Final = "tests.differential.products"
_BIN: Final = Path(sys.executable).parent

POLICY: Final = """
version: 1
product: acme-notes
identity: [{cookie: bb_at}]
defaults: {platform_timeout: 10s, on_platform_error: fail_closed}
routes:
  - {name: paid, match: {path: /api/paid}, meter: {}}
  - {name: item, match: {path: /api/items/*}, meter: {}}
  - {name: admin, match: {path: /api/admin}, action: deny}
  - {name: secret, match: {path: /api/secret/**}, action: deny}
  - {name: doc, match: {path: /api/doc, methods: [PUT]}, meter: {}}
  - {name: get, match: {path: /api/get, methods: [GET]}, meter: {}}
  - {name: rest, match: {path: /**}, action: allow}
unmatched: allow
"""
METERED: Final = frozenset({"paid", "item", "doc_put", "get"})
"""Handlers that a charge must have paid for."""
DENIED: Final = frozenset({"admin", "secret"})
"""Handlers that must never run."""


@dataclass(frozen=True, slots=True)
class Product:
    """A framework on its server; `{port}` in the command is where it listens."""

    name: str
    command: tuple[str, ...]

    def at(self, port: int) -> list[str]:
        """Return the command for a port."""
        return [word.replace("{port}", str(port)) for word in self.command]


def _script(name: str, module: str) -> Product:
    return Product(name, (sys.executable, "-m", f"{_PACKAGE}.{module}", "{port}"))


def _uvicorn(name: str, module: str, *options: str) -> Product:
    app = f"{_PACKAGE}.{module}:app"
    words = ("uvicorn", app, "--port", "{port}", "--log-level", "critical", *options)
    return Product(name, (sys.executable, "-m", *words))


def _node(name: str, script: str, *words: str) -> Product:
    return Product(name, (str(_BIN / "node"), str(_FOLDER / script), "{port}", *words))


PRODUCTS: Final = (
    _uvicorn("fastapi", "fastapi_app"),
    _uvicorn("starlette", "starlette_app", "--http", "h11"),
    _uvicorn("litestar", "litestar_app"),
    _uvicorn("falcon-asgi", "falcon_app"),
    _uvicorn("django-asgi", "django_app"),
    _script("falcon", "falcon_app"),
    _script("django", "django_app"),
    Product(
        "flask",
        (
            sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--threads", "4",
            "--log-level", "critical", f"{_PACKAGE}.flask_app:app",
        ),
    ),
    Product(
        "quart",
        (
            sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--log-level",
            "CRITICAL", f"{_PACKAGE}.quart_app:app",
        ),
    ),
    _script("aiohttp", "aiohttp_app"),
    _script("tornado", "tornado_app"),
    _script("bottle", "bottle_app"),
    _script("cherrypy", "cherrypy_app"),
    _script("sanic", "sanic_app"),
    _node("express4", "express.js", "4"),
    _node("express5", "express.js", "5"),
    _node("express5-override", "express.js", "5", "override"),
    _node("fastify4", "fastify.js", "4"),
    _node("fastify5", "fastify.js", "5"),
    _node(
        "fastify5-loose", "fastify.js", "5",
        '{"routerOptions":{"useSemicolonDelimiter":true,"ignoreTrailingSlash":true,'
        '"ignoreDuplicateSlashes":true,"caseSensitive":false}}',
    ),
    _node("koa", "koa.js"),
    _node("hono", "hono.js"),
    _node("restify", "restify.js"),
    _node("polka", "polka.js"),
    _node("find-my-way", "find-my-way.js"),
    _node("hapi", "hapi.js"),
    _node("itty-router", "itty-router.js"),
    _node("node-url", "url.js", "url"),
    _node("node-url-decoded", "url.js", "decoded"),
    _node("node-url-parse", "url.js", "parse"),
)  # fmt: skip

SINATRA: Final = Product("sinatra", ("ruby", str(_FOLDER / "sinatra_app.rb"), "{port}"))


def products() -> tuple[Product, ...]:
    """Return the products of this machine: all on Debian, elsewhere all but Sinatra."""
    return (*PRODUCTS, SINATRA) if Path("/etc/debian_version").exists() else PRODUCTS
