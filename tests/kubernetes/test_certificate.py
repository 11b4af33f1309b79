"""The webhook's own certificate over upgrades, by Helm's own engine before an API server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helm_python import Config
from typing_extensions import override

from tests.kubernetes.rendering import NAMESPACE, RELEASE, chart, documents

_SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
_RESOURCE = {"name": "secrets", "kind": "Secret", "namespaced": True, "verbs": ["get", "list"]}


class _Server(BaseHTTPRequestHandler):
    """As much of an API server as Helm's `lookup` of a Secret asks."""

    secrets: dict[str, dict[str, Any]]

    def do_GET(self) -> None:
        """Answer discovery and one Secret after the other."""
        path = self.path.partition("?")[0]
        known: dict[str, dict[str, Any]] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
            "/api/v1": {
                "kind": "APIResourceList",
                "groupVersion": "v1",
                "resources": [_RESOURCE],
            },
            "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
            **{f"{_SECRETS}/{name}": secret for name, secret in self.secrets.items()},
        }
        found = known.get(path)
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound"}
        body = json.dumps(found or {**status, "code": 404}).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def _cluster(*secrets: dict[str, Any]) -> Iterator[Config]:
    """Give Helm a cluster that holds these Secrets."""
    held = {each["metadata"]["name"]: each for each in secrets}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Held", (_Server,), {"secrets": held}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = Config(kube_apiserver=f"http://127.0.0.1:{server.server_port}", namespace=NAMESPACE)
    try:
        yield config
    finally:
        config.close()
        server.shutdown()
        server.server_close()
        thread.join()


def _made(config: Config) -> tuple[dict[str, Any], set[str]]:
    """Return the Secret that is made, and the authorities that the webhooks trust."""
    rendered = config.render(
        chart(), {"mode": "injector"}, name=RELEASE, namespace=NAMESPACE, is_upgrade=True
    )
    made = {each["kind"]: each for each in documents(rendered)}
    webhooks = made["MutatingWebhookConfiguration"]["webhooks"]
    return made["Secret"], {each["clientConfig"]["caBundle"] for each in webhooks}


def test_an_upgrade_keeps_the_certificate() -> None:
    """A new one would reach the pods a minute after the webhook's configuration trusted it."""
    with _cluster() as config:
        first, _ = _made(config)
    with _cluster(first) as config:
        second, trusted = _made(config)
    assert second["data"] == first["data"]
    assert trusted == {first["data"]["ca.crt"]}


def test_a_deleted_certificate_is_made_anew() -> None:
    """That is how it is renewed; the webhooks trust the new authority with it."""
    with _cluster() as config:
        first, _ = _made(config)
        second, trusted = _made(config)
    assert second["data"] != first["data"]
    assert trusted == {second["data"]["ca.crt"]}


def test_a_half_filled_secret_is_no_certificate() -> None:
    """One of the same name without an authority, made by hand, is filled."""
    with _cluster() as config:
        first, _ = _made(config)
    del first["data"]
    with _cluster(first) as config:
        second, trusted = _made(config)
    assert second["data"].keys() == {"ca.crt", "tls.crt", "tls.key"}
    assert trusted == {second["data"]["ca.crt"]}
