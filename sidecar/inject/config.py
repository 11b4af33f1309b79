"""What the injector adds: a template that the chart renders from the same parts as its others.

The file is YAML. Strings of the template may hold `<product>`, `<secret>`, `<policy>`,
`<upstream>` and `<port>`, which each pod fills; angle brackets are in no name that Kubernetes
allows, so that nothing else can be mistaken for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidecar.domain.errors import UserError
from sidecar.inject.words import SIDECAR_NAME

Port = Annotated[int, Field(ge=1, le=65535)]


class InjectorConfig(BaseModel):
    """How a pod is changed. Times in seconds.

    `native` makes the sidecar an init container that is restarted (Kubernetes 1.29 and later);
    `product_sleep` is how long a product waits before it receives SIGTERM, None where the cluster
    has no such hook (before 1.30); `grace_seconds` is the least that a pod gets to end. In
    `protected_namespaces` a network policy opens the `open_ports` of injected pods and no other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    container: dict[str, Any]
    volumes: list[dict[str, Any]]
    annotations: dict[str, str] = {}
    native: bool
    port: Port = 8080
    product_port: Port = 18080
    admin_port: Port = 9901
    metrics_port: Port = 9902
    product_sleep: Annotated[int, Field(ge=1, le=3600)] | None = None
    grace_seconds: Annotated[int, Field(ge=1, le=7200)] = 35
    excluded_namespaces: frozenset[str] = frozenset()
    protected_namespaces: frozenset[str] = frozenset()
    open_ports: frozenset[Port] = frozenset()


def load_config(path: Path) -> InjectorConfig:
    """Read the file. Raises UserError that names the file, each fault and where it is."""
    try:
        document = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}: name a file that can be read") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    try:
        config = InjectorConfig.model_validate(document)
    except ValidationError as error:
        faults = (
            f"{path}: {'.'.join(str(part) for part in fault['loc']) or 'file'}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        )
        raise UserError("\n".join(faults)) from error
    if config.container.get("name") != SIDECAR_NAME:
        raise UserError(
            f"{path}: container.name: {config.container.get('name')!r}: must be {SIDECAR_NAME!r},"
            " by which an injected pod is known"
        )
    return config
