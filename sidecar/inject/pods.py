"""What becomes of a pod that asks for the sidecar: a pure function of pod and configuration.

The sidecar takes the port that callers know, and the product is told another in `PORT` (contract,
"What a container on the platform must do"). Declared container ports keep their names and say the
sidecar's number, so that a Service finds the sidecar by number or by name; a name declared by an
init container would be found from Kubernetes 1.32 only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sidecar.errors import UserError
from sidecar.inject import words
from sidecar.inject.config import InjectorConfig

Object = dict[str, Any]

_PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")
_ACTIONS: Final = ("httpGet", "tcpSocket", "grpc")
_HOOKS: Final = ("postStart", "preStop")
_DEFAULT_GRACE: Final = 30
"""What Kubernetes takes where a pod does not say."""
_MAX_PORT: Final = 65535


class CannotInject(UserError):  # noqa: N818 - it names the refusal, which becomes an answer
    """A pod or Service asks for the sidecar in a way that leaves a choice open, or cannot work."""


@dataclass(frozen=True, slots=True)
class Ports:
    """`sidecar` is what callers use, `product` where the product listens from now on.

    `known` are the numbers by which the pod so far named the product's port.
    """

    sidecar: int
    product: int
    known: frozenset[int]


def inject(pod: Object, config: InjectorConfig) -> tuple[Object, list[str]]:
    """Return the pod with the sidecar in it, and warnings for whoever creates it.

    The pod that is given is not changed; one that has the sidecar comes back as it is. Raises
    CannotInject where the pod leaves a choice open.
    """
    if has_sidecar(pod):
        return pod, []
    pod = copy.deepcopy(pod)
    spec = pod.get("spec") or {}
    if spec.get("hostNetwork"):
        raise CannotInject(
            "spec.hostNetwork: true: the sidecar's ports would be the machine's: remove it, or"
            f" remove the label {words.INJECT}"
        )
    metadata = pod.setdefault("metadata", {})
    asked: dict[str, str] = metadata.get("annotations") or {}
    product = _product(metadata, asked)
    container = _container(spec, asked)
    ports = _ports(container, asked, config)
    _check_free(spec, container, ports, config)
    _point_probes(container, ports, asked)
    _move_ports(container, ports)
    _tell_port(container, ports.product)
    warnings = _let_linger(container, config)
    _add_sidecar(
        spec,
        config,
        ports,
        {
            "<product>": product,
            "<secret>": asked.get(words.SECRET) or f"{product}-secrets",
            "<policy>": asked.get(words.POLICY) or f"{product}-policy",
            "<upstream>": f"http://127.0.0.1:{ports.product}",
            "<port>": str(ports.sidecar),
        },
    )
    metadata["annotations"], told = _annotated(asked, config)
    return pod, warnings + told


def has_sidecar(pod: Object) -> bool:
    """Whether a pod has the sidecar already: injected before, or by the product's own chart."""
    spec = pod.get("spec") or {}
    return any(each.get("name") == words.SIDECAR_NAME for each in _all_containers(spec))


def port_of(text: str, annotation: str) -> int:
    """Read a port from an annotation. Raises CannotInject when it is none."""
    if text.isascii() and text.isdigit() and 1 <= int(text) <= _MAX_PORT:
        return int(text)
    raise CannotInject(f"{annotation}: {text!r}: must be a port from 1 to 65535")


def _all_containers(spec: Object) -> list[Object]:
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def _product(metadata: Object, asked: dict[str, str]) -> str:
    labels: dict[str, str] = metadata.get("labels") or {}
    product = asked.get(words.PRODUCT) or labels.get(words.NAME_LABEL)
    if not product:
        raise CannotInject(
            f"whose calls are to be counted is not said: set the annotation {words.PRODUCT} to"
            " the product's slug"
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


def _ports(container: Object, asked: dict[str, str], config: InjectorConfig) -> Ports:
    told = _told_port(container, asked)
    fixed = asked.get(words.PRODUCT_PORT)
    product = config.product_port if fixed is None else port_of(fixed, words.PRODUCT_PORT)
    wanted = asked.get(words.PORT)
    if wanted is not None:
        sidecar = port_of(wanted, words.PORT)
    elif told is not None and told != product:
        sidecar = told
    else:
        sidecar = config.port
    if sidecar == product:
        raise CannotInject(
            f"the sidecar and the product would both listen on {sidecar}: set the annotation"
            f" {words.PORT} or {words.PRODUCT_PORT} to another port"
        )
    known = {sidecar, *([] if told is None else [told]), *([] if fixed is None else [product])}
    declared = [entry.get("containerPort") for entry in container.get("ports") or ()]
    if declared and known.isdisjoint(declared):
        raise CannotInject(
            f"container {container.get('name')!r} declares {', '.join(map(str, declared))} and"
            f" nothing says which is the product's: give it PORT as a variable, or set"
            f" {words.PRODUCT_PORT} where it does not go by PORT"
        )
    return Ports(sidecar, product, frozenset(known))


def _told_port(container: Object, asked: dict[str, str]) -> int | None:
    """Return the port that the product is told so far, None where it is told none."""
    for each in container.get("env") or ():
        if each.get("name") == "PORT":
            if "valueFrom" not in each:
                return port_of(str(each.get("value", "")), "env PORT")
            if {words.PORT, words.PRODUCT_PORT} <= asked.keys():
                return None
            raise CannotInject(
                f"container {container.get('name')!r} takes PORT from elsewhere: write the number"
                f" as its value, or set {words.PORT} and {words.PRODUCT_PORT}"
            )
    return None


def _check_free(spec: Object, product: Object, ports: Ports, config: InjectorConfig) -> None:
    """See that nobody else in the pod has a port that the sidecar or the product now takes."""
    taken = {ports.sidecar, ports.product, config.admin_port}
    if len(taken) < 3:  # noqa: PLR2004 - one for each of the three
        raise CannotInject(
            f"port {config.admin_port} is the sidecar's admin port: set {words.PORT} or"
            f" {words.PRODUCT_PORT} to another"
        )
    for each in _all_containers(spec):
        for entry in each.get("ports") or ():
            number = entry.get("containerPort")
            if number in taken and (each is not product or number == config.admin_port):
                raise CannotInject(
                    f"container {each.get('name')!r} has port {number}, which the sidecar needs"
                    f" here: set {words.PORT} or {words.PRODUCT_PORT}, or move that container"
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
        entry.get("name")
        for entry in container.get("ports") or ()
        if entry.get("containerPort") in ports.known
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
            if handler and name in handler:
                yield handler[name]


def _move_ports(container: Object, ports: Ports) -> None:
    for entry in container.get("ports") or ():
        if entry.get("containerPort") in ports.known:
            entry["containerPort"] = ports.sidecar


def _tell_port(container: Object, port: int) -> None:
    env: list[Object] = container.setdefault("env", [])
    for entry in env:
        if entry.get("name") == "PORT":
            entry.pop("valueFrom", None)
            entry["value"] = str(port)
            return
    env.append({"name": "PORT", "value": str(port)})


def _let_linger(container: Object, config: InjectorConfig) -> list[str]:
    """Keep the product up until no new calls come, where the cluster and the product let us."""
    lifecycle: Object = container.get("lifecycle") or {}
    if "preStop" in lifecycle:
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
    """Copy a part of the template with the pod's words in it."""
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
