"""Django for ASGI, which knows no lifespan."""

from __future__ import annotations

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from sidecar.middleware import QuotaMiddleware
from tests.doors.products.facts import counts, facts

settings.configure(
    SECRET_KEY="a" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None
)
django.setup()


async def answer(request: HttpRequest, name: str = "free") -> HttpResponse:
    """Say what the handler saw."""
    quota = request.scope["state"]["quota"]
    return JsonResponse(facts(name, quota, request.headers.items(), request.body))


async def fail(request: HttpRequest) -> HttpResponse:
    """Raise: Django answers 500."""
    raise RuntimeError("the model is broken")


async def ran(request: HttpRequest) -> HttpResponse:
    """Say what has run."""
    return HttpResponse(counts())


urlpatterns = [
    path("api/v1/fail", fail),
    path("api/v1/<str:name>", answer),
    path("free", answer),
    path("ran", ran),
]
app = QuotaMiddleware(get_asgi_application())
