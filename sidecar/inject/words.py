"""The labels, annotations and names by which Kubernetes objects ask for a sidecar.

Source: ours; docs/kubernetes.md lists every one, and a test keeps it so.
"""

from __future__ import annotations

from typing import Final

PREFIX: Final = "sidecar.bizbasics.ai/"

INJECT: Final = f"{PREFIX}inject"
"""Label of a pod or Service that asks for the sidecar: `true`."""

PRODUCT: Final = f"{PREFIX}product"
"""Pod annotation: the product's slug; else the label `app.kubernetes.io/name`."""

CONTAINER: Final = f"{PREFIX}container"
"""Pod annotation: the product's container, where there are several."""

POLICY: Final = f"{PREFIX}policy"
"""Pod annotation: the ConfigMap with `policy.yaml`; else `<slug>-policy`."""

SECRET: Final = f"{PREFIX}secret"
"""Pod annotation: the Secret with the platform's keys; else `<slug>-secrets`."""

PORT: Final = f"{PREFIX}port"
"""Pod and Service annotation: the port that the sidecar takes; else the container's `PORT`."""

PRODUCT_PORT: Final = f"{PREFIX}product-port"
"""Pod and Service annotation: where a product listens that does not go by `PORT`."""

PROBES: Final = f"{PREFIX}probes"
"""Pod annotation: `direct` to the product, or `through` the sidecar."""

INJECTED: Final = f"{PREFIX}injected"
"""Annotation that the injector leaves on a pod it has changed."""

NAME_LABEL: Final = "app.kubernetes.io/name"
SIDECAR_NAME: Final = "bb-sidecar"
"""The container's name, by which an injected pod is known."""

ANNOTATIONS: Final = (PRODUCT, CONTAINER, POLICY, SECRET, PORT, PRODUCT_PORT, PROBES)

SYSTEM_NAMESPACES: Final = frozenset({"kube-system", "kube-public", "kube-node-lease"})
"""Never touched, whatever the webhook selects."""
