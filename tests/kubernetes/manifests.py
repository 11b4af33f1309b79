"""Write what the chart makes into a folder, for tools that read files: `… manifests FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.kubernetes.cases import GOOD
from tests.kubernetes.rendering import documents, render

RELEASE = "1.34.0"

PASSED_OVER = {
    "test": {
        "CKV_K8S_8": "it runs once, for `helm test`: nothing would ask its probes",
        "CKV_K8S_9": "it runs once, for `helm test`: no Service leads to it",
        "CKV2_K8S_6": "it only asks, and takes no traffic",
    },
    "openshift": {"CKV_K8S_40": "OpenShift gives each namespace user IDs of its own"},
}
"""What checkov asks of every pod and does not hold for these, and why not."""


def write(folder: Path) -> None:
    """Write each case into a file of its own; dashboards and rules are tried elsewhere."""
    pinned = {"kubeVersion": RELEASE, "image": {"digest": "sha256:" + "0" * 64}}
    cases = {name: render({**values, **pinned}) for name, values in GOOD.items()}
    for name, rendered in cases.items():
        rendered.pop("observability.yaml", None)
        found = documents(rendered)
        for document in found:
            passed_over = dict(PASSED_OVER["openshift"]) if "openshift" in name else {}
            if document["kind"] == "Pod":
                passed_over |= PASSED_OVER["test"]
            _pass_over(document, passed_over)
        text = yaml.safe_dump_all(found, sort_keys=False)
        (folder / f"{name}.yaml").write_text(text)


def _pass_over(document: dict[str, Any], checks: Mapping[str, str]) -> None:
    """Have checkov pass over checks of one document, by annotations that are not the chart's."""
    marks = {f"checkov.io/skip{n}": f"{c}={why}" for n, (c, why) in enumerate(checks.items())}
    metadata = document["metadata"]
    metadata["annotations"] = {**(metadata.get("annotations") or {}), **marks}


if __name__ == "__main__":
    write(Path(sys.argv[1]))
