"""Django, for WSGI with Waitress and for ASGI with Uvicorn."""

import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseNotAllowed
from django.urls import path, re_path

from tests.differential.products.handlers import EVERY, counts, run

settings.configure(
    SECRET_KEY="a" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, MIDDLEWARE=[
        "django.middleware.common.CommonMiddleware",
    ], LOGGING_CONFIG=None,
)  # fmt: skip
django.setup()


def _view(**names):
    def view(request, **_):
        method = "GET" if request.method == "HEAD" else request.method
        if method not in names:
            return HttpResponseNotAllowed(list(names))
        return HttpResponse("ok", headers=run(names[method]))

    return view


def _every(name):
    return _view(**dict.fromkeys(EVERY, name))


urlpatterns = [
    path("api/paid", _every("paid")),
    path("api/items/<str:item>", _every("item")),
    re_path(r"^api/admin$", _every("admin")),
    path("api/secret/<path:rest>", _every("secret")),
    re_path(r"^api/doc$", _view(PUT="doc_put", POST="doc_post")),
    re_path(r"^api/get/?$", _view(GET="get", POST="get_post")),
    path("free", _every("free")),
    path("free/<path:rest>", _every("free")),
    path("ran", lambda request: HttpResponse(counts())),
]

app = get_asgi_application()

if __name__ == "__main__":
    import waitress

    waitress.serve(get_wsgi_application(), host="127.0.0.1", port=int(sys.argv[1]))
