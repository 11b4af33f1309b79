"""Which ports the sidecar takes and the product gets, by what a pod says. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.inject import words
from sidecar.inject.asking import CannotInject, Object, port_of
from sidecar.inject.config import InjectorConfig


@dataclass(frozen=True, slots=True)
class Ports:
    """`sidecar` is what callers use, `product` where the product listens from now on.

    `known` are the numbers by which the pod so far named the product's port.
    """

    sidecar: int
    product: int
    known: frozenset[int]


def choose_ports(container: Object, asked: dict[str, str], config: InjectorConfig) -> Ports:
    """Choose both ports. Raises CannotInject where they cannot be known."""
    given = _given_port(container, asked)
    fixed = asked.get(words.PRODUCT_PORT)
    product = config.product_port if fixed is None else port_of(fixed, words.PRODUCT_PORT)
    wanted = asked.get(words.PORT)
    if wanted is not None:
        sidecar = port_of(wanted, words.PORT)
    elif given is not None and given != product:
        sidecar = given
    else:
        sidecar = config.port
    if sidecar == product:
        raise CannotInject(
            f"the sidecar and the product would both listen on {sidecar}: set the annotation"
            f" {words.PORT} or {words.PRODUCT_PORT} to another port"
        )
    known = {sidecar, *([] if given is None else [given]), *([] if fixed is None else [product])}
    declared = [entry["containerPort"] for entry in tcp_ports(container)]
    if declared and known.isdisjoint(declared):
        raise CannotInject(
            f"container {container.get('name')!r} declares {', '.join(map(str, declared))} and"
            f" nothing says which is the product's: give it PORT as a variable, or set"
            f" {words.PRODUCT_PORT} where it does not go by PORT"
        )
    return Ports(sidecar, product, frozenset(known))


def _given_port(container: Object, asked: dict[str, str]) -> int | None:
    """Return the port that the product is given so far, None where it is given none."""
    found = [each for each in container.get("env") or () if each.get("name") == "PORT"]
    if not found:
        return None
    if len(found) > 1:
        raise CannotInject(f"container {container.get('name')!r} has PORT {len(found)} times")
    if not found[0].get("valueFrom"):
        return port_of(found[0].get("value") or "", "env PORT")
    if {words.PORT, words.PRODUCT_PORT} <= asked.keys():
        return None
    raise CannotInject(
        f"container {container.get('name')!r} takes PORT from elsewhere: write the number as its"
        f" value, or set {words.PORT} and {words.PRODUCT_PORT}"
    )


def check_free(spec: Object, product: Object, ports: Ports, config: InjectorConfig) -> None:
    """Check that no other container has a port that the sidecar or the product now takes."""
    own = {config.admin_port: "admin", config.metrics_port: "metrics"}
    for number in (ports.sidecar, ports.product):
        if number in own:
            raise CannotInject(
                f"port {number} is the sidecar's {own[number]} port: set {words.PORT} or"
                f" {words.PRODUCT_PORT} to another"
            )
    taken = {ports.sidecar, ports.product, *own}
    for each in all_containers(spec):
        for entry in tcp_ports(each):
            number = entry["containerPort"]
            if number in taken and (each is not product or number in own):
                raise CannotInject(
                    f"container {each.get('name')!r} has port {number}, which the sidecar needs"
                    f" here: set {words.PORT} or {words.PRODUCT_PORT}, or move that container"
                )


def check_open(ports: Ports, namespace: str, config: InjectorConfig) -> None:
    """See that a network policy of ours lets callers reach the sidecar."""
    if namespace in config.protected_namespaces and ports.sidecar not in config.open_ports:
        raise CannotInject(
            f"the NetworkPolicy of namespace {namespace!r} does not open port {ports.sidecar},"
            " which the sidecar takes here: add it to the chart's networkPolicy.extraPorts, or set"
            f" {words.PORT} to one of: {', '.join(map(str, sorted(config.open_ports)))}"
        )


def tcp_ports(container: Object) -> list[Object]:
    """Return the declared ports that a Service of HTTP can lead to."""
    return [
        entry for entry in container.get("ports") or () if (entry.get("protocol") or "TCP") == "TCP"
    ]


def all_containers(spec: Object) -> list[Object]:
    """Return the containers of a pod, those that come first too."""
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
