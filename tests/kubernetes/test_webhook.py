"""The injector as the chart starts it: its file, its certificate, its arguments, as a process."""

from __future__ import annotations

import base64
import json
import ssl
from pathlib import Path
from signal import SIGTERM
from typing import Any

import httpx
import pytest
import yaml
from cryptography import x509

from tests.e2e.programs import SIDECAR, Program, start
from tests.kubernetes.rendering import documents, only, render

_PODS = Path(__file__).parent / "pods"
_HOST = "notes-bizbasics-sidecar.acme.svc"


def _written(folder: Path, made: dict[str, str]) -> list[str]:
    """Write what the pod's volumes hold; return the container's arguments with their paths here."""
    secret, config = only(made, "Secret")["data"], only(made, "ConfigMap")["data"]
    for name, data in secret.items():
        (folder / name).write_bytes(base64.b64decode(data))
    (folder / "injector.yaml").write_text(config["injector.yaml"])
    container = only(made, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    here = {"/etc/bb-injector/config/": f"{folder}/", "/etc/bb-injector/tls/": f"{folder}/"}
    elsewhere = ("--listen", "--metrics")
    args = [word for word in container["args"] if not word.startswith(elsewhere)]
    for there, path in here.items():
        args = [word.replace(there, path) for word in args]
    return [*args, "--listen=127.0.0.1:0", "--metrics=127.0.0.1:0"]


async def _port(program: Program) -> int:
    line = await program.line(lambda line: '"started"' in line, err=True)
    return int(json.loads(line)["listen"].rpartition(":")[2])


def _ca(made: dict[str, str]) -> ssl.SSLContext:
    """Trust what the webhook's configuration trusts, and nothing else, as the API server does."""
    bundles = {
        each["clientConfig"]["caBundle"]
        for each in only(made, "MutatingWebhookConfiguration")["webhooks"]
    }
    assert len(bundles) == 1
    return ssl.create_default_context(cadata=base64.b64decode(bundles.pop()).decode())


async def test_the_api_server_is_answered(tmp_path: Path) -> None:
    """The CA in the webhook's configuration vouches for the Service's name; a patch comes back."""
    made = render({"mode": "injector"})
    program = await start(*SIDECAR, *_written(tmp_path, made))
    try:
        port = await _port(program)
        request = {
            "uid": "1",
            "kind": {"kind": "Pod"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": yaml.safe_load((_PODS / "platform-template.yaml").read_text()),
        }
        review: dict[str, Any] = {"apiVersion": "admission.k8s.io/v1", "request": request}
        async with httpx.AsyncClient(verify=_ca(made)) as client:
            answer = await client.post(
                f"https://127.0.0.1:{port}/mutate",
                json=review,
                headers={"host": _HOST},
                extensions={"sni_hostname": _HOST},
            )
        assert answer.json()["response"]["patchType"] == "JSONPatch"
        program.send(SIGTERM)
        assert await program.ended() == 0
    finally:
        await program.close()


def test_the_certificate_is_for_the_service() -> None:
    """Both names by which the API server may call it are in it."""
    secret = only(render({"mode": "injector"}), "Secret")["data"]
    certificate = x509.load_pem_x509_certificate(base64.b64decode(secret["tls.crt"]))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [_HOST, f"{_HOST}.cluster.local"]


@pytest.mark.parametrize("missing", ["injector.yaml", "tls.crt", "tls.key"])
async def test_what_is_not_mounted_is_named(tmp_path: Path, missing: str) -> None:
    """One line that names the file, and exit status 2."""
    args = _written(tmp_path, render({"mode": "injector"}))
    (tmp_path / missing).unlink()
    program = await start(*SIDECAR, *args)
    assert await program.ended() == 2
    assert missing in program.err[0]
    assert len(program.err) == 1


def test_cert_manager_fills_in_the_authority() -> None:
    """No Secret is made, and the annotation tells whose CA is to be put in."""
    values = {
        "mode": "injector",
        "injector": {"certificate": {"source": "certManager", "issuerRef": {"name": "internal"}}},
    }
    made = render(values)
    webhook = only(made, "MutatingWebhookConfiguration")
    certificate = only(made, "Certificate")
    assert webhook["metadata"]["annotations"] == {
        "cert-manager.io/inject-ca-from": f"acme/{certificate['metadata']['name']}"
    }
    assert "caBundle" not in webhook["webhooks"][0]["clientConfig"]
    assert not [each for each in documents(made) if each["kind"] == "Secret"]
