"""What becomes of a pod that asks for the sidecar: a pure function of pod and configuration.

The sidecar takes the port that callers know, and the product receives another in `PORT` (contract,
"What a container on the platform must do"). Declared container ports keep their names and say the
sidecar's number, so that a Service finds the sidecar by number or by name; a name declared by an
init container would be found from Kubernetes 1.32 only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final

from sidecar.inject import words
from sidecar.inject.asking import CannotInject, Object, is_name, name_of
from sidecar.inject.config import InjectorConfig
from sidecar.inject.ports import (
    Ports,
    all_containers,
    check_free,
    check_open,
    choose_ports,
    tcp_ports,
    unseen_port,
)

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_ACTIONS: Final = ("httpGet", "tcpSocket", "grpc")
_HOOKS: Final = ("postStart", "preStop")
_DEFAULT_GRACE: Final = 30
"""What Kubernetes takes where a pod does not say."""
_PRIVILEGED: Final = 1024
"""Ports below it are root's, unless the pod says otherwise; the sidecar is not root."""
_FIRST_FREE_PORT: Final = "net.ipv4.ip_unprivileged_port_start"


def inject(pod: Object, config: InjectorConfig, namespace: str = "") -> tuple[Object, list[str]]:
    """Return the pod with the sidecar in it, and warnings for its author.

    The pod that is given is not changed; one that has the sidecar comes back as it is. Raises
    CannotInject where the pod leaves a choice open.
    """
    found = _sidecar_of(pod)
    if found is not None:
        _check_ours(found, pod, config)
        return pod, []
    pod = copy.deepcopy(pod)
    spec = pod.get("spec") or {}
    if spec.get("hostNetwork"):
        raise CannotInject(
            "spec.hostNetwork: true: the sidecar's ports would be the machine's: remove it, or"
            f" remove the label {words.INJECT}"
        )
    if (spec.get("os") or {}).get("name") == "windows":
        raise CannotInject(
            f"spec.os.name: windows: the sidecar is for Linux: remove the label {words.INJECT}"
        )
    metadata = pod.setdefault("metadata", {})
    asked: dict[str, str] = {
        name: text or "" for name, text in (metadata.get("annotations") or {}).items()
    }
    product = _product(metadata, asked)
    container = _container(spec, asked)
    ports = choose_ports(container, asked, config)
    warnings = unseen_port(container, asked, ports)
    check_free(spec, container, ports, config)
    check_open(ports, namespace, config)
    _point_probes(container, ports, asked)
    _move_ports(container, ports)
    _set_port(container, ports.product)
    _open_port(spec, ports.sidecar)
    warnings += [*_let_linger(container, config), *_never_ends(spec, config)]
    _add_sidecar(
        spec,
        config,
        ports,
        {
            "<product>": product,
            "<secret>": name_of(asked, words.SECRET) or f"{product}-secrets",
            "<policy>": name_of(asked, words.POLICY) or f"{product}-policy",
            "<upstream>": f"http://127.0.0.1:{ports.product}",
            "<port>": str(ports.sidecar),
        },
    )
    metadata["annotations"], more = _annotated(asked, config)
    return pod, warnings + more


def _sidecar_of(pod: Object) -> Object | None:
    containers = all_containers(pod.get("spec") or {})
    return next((each for each in containers if each.get("name") == words.SIDECAR_NAME), None)


def _check_ours(container: Object, pod: Object, config: InjectorConfig) -> None:
    """See that a container of the sidecar's name is the sidecar, and not another by accident.

    It is where the pod was injected before, whatever has changed its image since, and where the
    image has the same name, from any registry: a product's own chart may bring it.
    """
    metadata = pod.get("metadata") or {}
    if (metadata.get("annotations") or {}).get(words.INJECTED) == "true":
        return
    image, ours = (_image_name(each.get("image") or "") for each in (container, config.container))
    if image and image == ours:
        return
    raise CannotInject(
        f"container {words.SIDECAR_NAME!r} is not the sidecar: its image is {image[:80]!r}, not"
        f" {ours!r}: give it another name; where it is the sidecar under another name of the image,"
        f" set the annotation {words.INJECTED} to 'true'"
    )


def _image_name(reference: str) -> str:
    return reference.partition("@")[0].rpartition("/")[2].partition(":")[0]


def _product(metadata: Object, asked: dict[str, str]) -> str:
    labels: dict[str, str] = metadata.get("labels") or {}
    product = name_of(asked, words.PRODUCT) or labels.get(words.NAME_LABEL)
    if not product:
        raise CannotInject(
            f"whose calls are to be counted is not said: set the annotation {words.PRODUCT} to"
            " the product's slug"
        )
    if not is_name(product):
        raise CannotInject(
            f"the label {words.NAME_LABEL}, {product!r}, is no product's slug: set the annotation"
            f" {words.PRODUCT} to it"
        )
    return product


def _container(spec: Object, asked: dict[str, str]) -> Object:
    containers: list[Object] = spec.get("containers") or []
    wanted = asked.get(words.CONTAINER)
    if wanted is None and len(containers) == 1:
        return containers[0]
    for each in containers:
        if each.get("name") == wanted:
            return each
    names = ", ".join(str(each.get("name")) for each in containers) or "none"
    raise CannotInject(
        f"which container is the product is not said: set the annotation {words.CONTAINER} to one"
        f" of: {names}"
        if wanted is None
        else f"{words.CONTAINER}: {wanted!r} is no container of this pod: give one of: {names}"
    )


def _point_probes(container: Object, ports: Ports, asked: dict[str, str]) -> None:
    """Let the kubelet's questions reach the product itself, or the sidecar where that is asked.

    Directly is the default: an overloaded or draining sidecar is no reason to restart a product.
    """
    way = asked.get(words.PROBES, "direct")
    if way not in {"direct", "through"}:
        raise CannotInject(f"{words.PROBES}: {way!r}: must be 'direct' or 'through'")
    target = ports.product if way == "direct" else ports.sidecar
    names = {
        entry["name"]
        for entry in tcp_ports(container)
        if entry["containerPort"] in ports.known and entry.get("name")
    }
    for action in _kubelet_actions(container):
        if action.get("port") in ports.known or action.get("port") in names:
            action["port"] = target


def _kubelet_actions(container: Object) -> Iterator[Object]:
    handlers = [container.get(name) for name in _PROBES]
    lifecycle: Object = container.get("lifecycle") or {}
    handlers += [lifecycle.get(name) for name in _HOOKS]
    for handler in handlers:
        for name in _ACTIONS:
            if handler and handler.get(name):
                yield handler[name]


def _move_ports(container: Object, ports: Ports) -> None:
    for entry in tcp_ports(container):
        if entry["containerPort"] in ports.known:
            entry["containerPort"] = ports.sidecar


def _set_port(container: Object, port: int) -> None:
    env: list[Object] = container.get("env") or []
    for entry in env:
        if entry.get("name") == "PORT":
            entry.pop("valueFrom", None)
            entry["value"] = str(port)
            return
    container["env"] = [*env, {"name": "PORT", "value": str(port)}]


def _open_port(spec: Object, port: int) -> None:
    """Let the sidecar, which is not root, listen where a product that is root listened."""
    if port >= _PRIVILEGED:
        return
    context: Object = spec.get("securityContext") or {}
    sysctls: list[Object] = context.get("sysctls") or []
    if not any(each.get("name") == _FIRST_FREE_PORT for each in sysctls):
        opened = {"name": _FIRST_FREE_PORT, "value": "0"}
        spec["securityContext"] = {**context, "sysctls": [*sysctls, opened]}


def _never_ends(spec: Object, config: InjectorConfig) -> list[str]:
    """Warn of a pod that would end by itself, and would not with a plain container beside it."""
    if config.native or (spec.get("restartPolicy") or "Always") == "Always":
        return []
    return ["before Kubernetes 1.29 the sidecar runs on when this pod's own containers have ended"]


def _let_linger(container: Object, config: InjectorConfig) -> list[str]:
    """Keep the product up until no new calls come, where the cluster and the product let us."""
    lifecycle: Object = container.get("lifecycle") or {}
    if lifecycle.get("preStop"):
        return []
    if config.product_sleep is None:
        name = container.get("name")
        return [f"container {name!r} should serve on for some seconds after SIGTERM: no preStop"]
    container["lifecycle"] = {**lifecycle, "preStop": {"sleep": {"seconds": config.product_sleep}}}
    return []


def _add_sidecar(
    spec: Object, config: InjectorConfig, ports: Ports, words_of_pod: dict[str, str]
) -> None:
    sidecar: Object = _filled(config.container, words_of_pod)
    for entry in sidecar.get("ports") or ():
        if entry.get("name") == "bb-http":
            entry["containerPort"] = ports.sidecar
    if config.native:
        sidecar["restartPolicy"] = "Always"
        spec["initContainers"] = [*(spec.get("initContainers") or ()), sidecar]
    else:
        spec["containers"] = [*spec["containers"], sidecar]
    there = {each.get("name") for each in spec.get("volumes") or ()}
    clash = sorted(there & {each["name"] for each in config.volumes})
    if clash:
        raise CannotInject(f"volume {clash[0]!r} is the sidecar's: give the pod's another name")
    spec["volumes"] = [*(spec.get("volumes") or ()), *_filled(config.volumes, words_of_pod)]
    grace = spec.get("terminationGracePeriodSeconds")
    spec["terminationGracePeriodSeconds"] = max(
        _DEFAULT_GRACE if grace is None else grace, config.grace_seconds
    )


def _annotated(asked: dict[str, str], config: InjectorConfig) -> tuple[dict[str, str], list[str]]:
    """Add ours; the pod's own scraping goes before ours, for a pod can name one target only."""
    marked = {**asked, words.INJECTED: "true"}
    if not any(name in asked for name in config.annotations):
        return {**config.annotations, **marked}, []
    return marked, [
        "this pod has its own prometheus.io annotations: scrape the sidecar with a PodMonitor"
    ]


def _filled(template: Any, words_of_pod: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    match template:
        case str():
            for word, value in words_of_pod.items():
                template = template.replace(word, value)
            return template
        case dict():
            return {key: _filled(value, words_of_pod) for key, value in template.items()}
        case list():
            return [_filled(each, words_of_pod) for each in template]
        case _:
            return template
