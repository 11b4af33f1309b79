"""A pod of two containers as the chart makes it, run by podman, and a platform for it.

What this podman cannot read is written otherwise here, and nothing else is: it publishes declared
ports on the machine, and it does not decode a Secret that is a volume.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.image.building import IMAGE
from tests.kubernetes.image.podman import Podman, wait_until
from tests.kubernetes.rendering import documents, render_product

KEY: Final = "bbas_image_0123456789abcdef"
LIMIT: Final = 2
MEMORY: Final = "128Mi"
_ISSUER: Final = "https://auth.image.test"
SIDECAR: Final = "notes-bb-sidecar"

_SEED: Final = f"""\
products:
  - {{slug: acme-notes, key: {KEY}}}
orgs:
  - {{id: org_acme, plan: pro, apps: [acme-notes], quotas: {{ai_calls: {LIMIT}}}}}
  - {{id: org_beta, plan: pro, apps: [acme-notes], quotas: {{ai_calls: 100}}}}
"""

_PRODUCT: Final = """\
import asyncio, os
from sidecar.demo.upstream import DemoUpstream
async def main():
    await DemoUpstream(pace=0.3).start("127.0.0.1", int(os.environ["PORT"]))
    await asyncio.Event().wait()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """A running pod: where it and its platform are."""

    podman: Podman
    address: str

    @property
    def url(self) -> str:
        """Where callers go."""
        return f"http://{self.address}:8080"

    @property
    def admin(self) -> str:
        """The sidecar's port for scrapers and probes."""
        return f"http://{self.address}:9902"

    def caller(self, org: str) -> dict[str, str]:
        """Return the header of somebody of an org: `org_acme` has little, `org_beta` enough."""
        token = self.podman("exec", "platform", "bb-sidecar", "token", "--org", org)
        return {"cookie": f"bb_at={token}"}

    def charged(self, org: str) -> int:
        """Return the units that the platform has counted."""
        program = (
            "import urllib.request as r;"
            f"print(r.urlopen('http://127.0.0.1:8092/_control/consumes?org_id={org}').read().decode())"
        )
        told = json.loads(self.podman("exec", "platform", "python", "-c", program))
        rows: list[dict[str, Any]] = told["consumes"] if isinstance(told, dict) else told
        return sum(row["amount"] for row in rows)


@contextmanager
def scene(podman: Podman, folder: Path) -> Iterator[Scene]:
    """Run the platform and the pod; both are gone at the end."""
    end(podman)
    seed = folder / "seed.yaml"
    seed.write_text(_SEED)
    podman(
        "run", "--detach", "--name", "platform", "--no-healthcheck",
        "--volume", f"{seed}:/seed.yaml:ro", IMAGE,
        "platform", "--listen", "0.0.0.0:8092", "--seed", "/seed.yaml", "--issuer", _ISSUER,
    )  # fmt: skip
    try:
        platform = f"http://{podman.address('platform')}:8092"
        manifest = folder / "pod.yaml"
        manifest.write_text(
            "\n---\n".join(json.dumps(each) for each in _manifest(platform, folder))
        )
        podman("play", "kube", str(manifest))
        infra = podman("pod", "inspect", "notes", "--format", "{{.InfraContainerID}}")
        running = Scene(podman, podman.address(infra))
        wait_until(lambda: healthy(podman), f"the sidecar is ready: {log(podman)}")
        yield running
    finally:
        end(podman)


def healthy(podman: Podman) -> bool:
    """Ask the sidecar with its own command, as the image's HEALTHCHECK does."""
    told = podman("exec", SIDECAR, "bb-sidecar", "health", "--ready", check=False)
    return '"ready":true' in told.replace(" ", "")


def log(podman: Podman) -> str:
    """Return what the sidecar has said."""
    return podman("logs", SIDECAR, check=False, stderr=True)


def end(podman: Podman) -> None:
    """Remove the pod, the platform and their volumes."""
    podman("pod", "rm", "--force", "--time", "2", "notes", check=False)
    podman("rm", "--force", "--time", "2", "platform", check=False)
    podman("volume", "prune", "--force", check=False)


def _manifest(platform: str, folder: Path) -> list[dict[str, Any]]:
    keys = folder / "keys"
    keys.mkdir(exist_ok=True)
    (keys / "PLATFORM_INTERNAL_KEY").write_text(KEY)
    keys.chmod(0o755)
    rendered = documents(
        render_product(
            {
                "image": IMAGE,
                "command": ["python", "-c", _PRODUCT],
                "bizbasics-sidecar": {
                    "kubeVersion": "1.28.0",  # podman 4 knows no init containers that stay
                    "image": {"repository": IMAGE.rpartition(":")[0], "tag": "test"},
                    "resources": {"limits": {"memory": MEMORY}},
                    "platform": {"apiUrl": platform, "authUrl": platform, "issuer": _ISSUER},
                },
            }
        )
    )
    policy = next(each for each in rendered if each["kind"] == "ConfigMap")
    spec = next(each for each in rendered if each["kind"] == "Deployment")["spec"]["template"][
        "spec"
    ]
    for container in spec["containers"]:
        container.pop("ports", None)
    for volume in spec["volumes"]:
        if volume["name"] == "bb-keys":
            volume.pop("secret")
            volume["hostPath"] = {"path": str(keys), "type": "Directory"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "notes"}, "spec": spec}
    return [policy, pod]
