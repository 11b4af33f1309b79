"""A pod that asks for the sidecar: what it becomes, and when it is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from sidecar.inject import words
from sidecar.inject.asking import CannotInject
from sidecar.inject.pods import inject
from sidecar.inject.words import NAME_LABEL
from tests.unit.inject.pods import config, container_of, env_of, pod


def _changed(given: dict[str, Any], **change: Any) -> dict[str, Any]:
    return inject(given, config(**change))[0]


def test_the_sidecar_takes_the_port_of_the_product() -> None:
    """Callers keep the number they know; the product is told another, the sidecar where it is."""
    changed = _changed(pod())
    assert env_of(changed)["PORT"] == "18080"
    assert env_of(changed, "bb-sidecar") == {
        "PORT": "8080",
        "SIDECAR_UPSTREAM": "http://127.0.0.1:18080",
        "PRODUCT_SLUG": "acme-notes",
    }
    assert container_of(changed, "bb-sidecar")["ports"][0]["containerPort"] == 8080


def test_a_declared_port_keeps_its_name_and_leads_to_the_sidecar() -> None:
    """A Service that names `http` reaches the sidecar on every version of Kubernetes."""
    given = pod(
        annotations={words.PRODUCT_PORT: "3000"},
        env=[],
        ports=[{"name": "http", "containerPort": 3000}, {"name": "m", "containerPort": 9000}],
    )
    assert container_of(_changed(given))["ports"] == [
        {"name": "http", "containerPort": 8080},
        {"name": "m", "containerPort": 9000},
    ]


def test_native_sidecars_are_init_containers_that_stay() -> None:
    """From 1.29 on the sidecar starts before the product and ends after it."""
    given = pod()
    given["spec"]["initContainers"] = [{"name": "migrate", "image": "x"}]
    added = _changed(given)["spec"]["initContainers"]
    assert [each["name"] for each in added] == ["migrate", "bb-sidecar"]
    assert added[1]["restartPolicy"] == "Always"


def test_older_clusters_get_a_plain_container() -> None:
    """Before 1.29 an init container that stays would keep the pod from starting."""
    spec = _changed(pod(), native=False)["spec"]
    assert [each["name"] for each in spec["containers"]] == ["app", "bb-sidecar"]
    assert "initContainers" not in spec
    assert "restartPolicy" not in spec["containers"][1]


def test_names_follow_the_slug() -> None:
    """ConfigMap and Secret are those of the platform's conventions where nothing is said."""
    volumes = _changed(pod())["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == "acme-notes-policy"
    assert volumes[1]["secret"]["secretName"] == "acme-notes-secrets"


def test_annotations_name_what_is_named_otherwise() -> None:
    """Each name can be another, by the pod's own word."""
    asked = {words.PRODUCT: "notes", words.POLICY: "rules", words.SECRET: "keys"}
    changed = _changed(pod(annotations=asked))
    volumes = changed["spec"]["volumes"]
    assert volumes[0]["configMap"]["name"] == "rules"
    assert volumes[1]["secret"]["secretName"] == "keys"
    assert env_of(changed, "bb-sidecar")["PRODUCT_SLUG"] == "notes"


@pytest.mark.parametrize(("way", "port"), [("direct", 18080), ("through", 8080)])
@pytest.mark.parametrize("target", ["http", 8080])
def test_probes_reach_whom_they_should(way: str, port: int, target: str | int) -> None:
    """The product is asked itself, unless it listens on loopback alone and says so."""
    probe = {"httpGet": {"path": "/health", "port": target}}
    given = pod(
        annotations={words.PROBES: way},
        livenessProbe=probe,
        readinessProbe={"tcpSocket": {"port": target}},
        startupProbe={"exec": {"command": ["true"]}},
        lifecycle={"postStart": {"httpGet": {"port": target}}},
    )
    found = container_of(_changed(given))
    assert found["livenessProbe"]["httpGet"] == {"path": "/health", "port": port}
    assert found["readinessProbe"]["tcpSocket"]["port"] == port
    assert found["startupProbe"] == {"exec": {"command": ["true"]}}
    assert found["lifecycle"]["postStart"]["httpGet"]["port"] == port


def test_a_probe_of_another_port_stays() -> None:
    """What is not the product's traffic is not ours to move."""
    probe = {"httpGet": {"path": "/", "port": 9000}}
    given = pod(livenessProbe=probe)
    assert container_of(_changed(given))["livenessProbe"] == probe


def test_the_product_lingers_where_the_cluster_knows_how() -> None:
    """A native sidecar outlives the product, so the product must outlive its last caller."""
    changed, warnings = inject(pod(), config())
    assert container_of(changed)["lifecycle"] == {"preStop": {"sleep": {"seconds": 5}}}
    assert warnings == []


def test_a_hook_of_the_product_stays() -> None:
    """The product knows better how it ends."""
    hook = {"preStop": {"exec": {"command": ["bye"]}}}
    assert container_of(_changed(pod(lifecycle=hook)))["lifecycle"] == hook


def test_a_missing_hook_is_told_where_it_cannot_be_added() -> None:
    """Before 1.30 a sleep needs a program in the product's image."""
    changed, warnings = inject(pod(), config(product_sleep=None))
    assert "lifecycle" not in container_of(changed)
    assert len(warnings) == 1


@pytest.mark.parametrize(("own", "then"), [(None, 35), (10, 35), (120, 120), (0, 35)])
def test_grace_fits_the_drain(own: int | None, then: int) -> None:
    """The pod gets at least the time that streams are given, and never less than it asked for."""
    given = pod()
    if own is not None:
        given["spec"]["terminationGracePeriodSeconds"] = own
    assert _changed(given)["spec"]["terminationGracePeriodSeconds"] == then


def test_scraping_of_the_product_stays() -> None:
    """One target is all that annotations can name: the product's own goes first, and is told."""
    own = {"prometheus.io/scrape": "true", "prometheus.io/port": "9000"}
    changed, warnings = inject(pod(annotations=own), config())
    assert changed["metadata"]["annotations"] == {**own, words.INJECTED: "true"}
    assert any("PodMonitor" in warning for warning in warnings)


def test_scraping_is_ours_where_the_pod_has_none() -> None:
    """Metrics are found without a line of configuration."""
    annotations = _changed(pod())["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == "9902"


def test_the_given_pod_is_not_changed() -> None:
    """A dry run and a second call begin with what the first one began with."""
    given = pod()
    before = copy.deepcopy(given)
    inject(given, config())
    assert given == before


@pytest.mark.parametrize("native", [True, False])
def test_an_injected_pod_stays_as_it_is(native: bool) -> None:  # noqa: FBT001
    """The API server may ask again after others have changed the pod."""
    once = _changed(pod(), native=native)
    assert container_of(once, "bb-sidecar")
    assert _changed(once, native=native) == once


@pytest.mark.parametrize(
    "image",
    [
        "bizbasics-sidecar:test",
        "bizbasics-sidecar",
        "mirror.example:5000/team/bizbasics-sidecar:2",
        "bizbasics-sidecar@sha256:" + "0" * 64,
    ],
)
def test_a_sidecar_of_the_products_own_chart_stays_as_it_is(image: str) -> None:
    """It is known by its image's name, from any registry and of any version."""
    given = pod()
    given["spec"]["initContainers"] = [{"name": "bb-sidecar", "image": image}]
    assert inject(given, config()) == (given, [])


def test_an_injected_pod_stays_as_it_is_whatever_has_changed_its_image() -> None:
    """Other webhooks lead images to a mirror under another name."""
    once = _changed(pod())
    container_of(once, "bb-sidecar")["image"] = "mirror.example/cached/1234"
    assert _changed(once) == once


@pytest.mark.parametrize(
    "image",
    ["acme/proxy:1", "acme/bizbasics-sidecar/proxy", "x:5000/a:bizbasics-sidecar", "", None],
)
@pytest.mark.parametrize("where", ["containers", "initContainers"])
def test_another_container_of_the_sidecars_name_is_refused(image: str | None, where: str) -> None:
    """Let in as it is, the pod would serve calls that are not counted."""
    given = pod()
    other = {"name": "bb-sidecar", **({} if image is None else {"image": image})}
    given["spec"][where] = [*given["spec"].get(where, []), other]
    with pytest.raises(CannotInject, match=r"'bb-sidecar' is not the sidecar: .* another name"):
        inject(given, config())


def test_the_product_among_several_is_named() -> None:
    """Only the named container is told another port."""
    given = pod(annotations={words.CONTAINER: "app"})
    given["spec"]["containers"].insert(0, {"name": "agent", "image": "x"})
    changed = _changed(given)
    assert env_of(changed)["PORT"] == "18080"
    assert "env" not in container_of(changed, "agent")


def test_a_product_without_port_is_told_one() -> None:
    """The platform's default is 8080: the sidecar takes it."""
    changed = _changed(pod(env=[], ports=[]))
    assert env_of(changed) == {"PORT": "18080"}
    assert env_of(changed, "bb-sidecar")["PORT"] == "8080"


def test_a_port_from_elsewhere_is_replaced_where_both_are_named() -> None:
    """Annotations settle what the injector cannot read."""
    asked = {words.PORT: "8080", words.PRODUCT_PORT: "3000"}
    given = pod(
        annotations=asked,
        env=[{"name": "PORT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "p"}}}],
    )
    assert container_of(_changed(given))["env"] == [{"name": "PORT", "value": "3000"}]


_ELSEWHERE = {"name": "PORT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "p"}}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (pod(env=[_ELSEWHERE]), "takes PORT from elsewhere"),
        (pod(env=[{"name": "PORT", "value": "http"}]), "'http': must be a port"),
        (pod(env=[{"name": "PORT"}]), "'': must be a port"),
        (pod(env=[], ports=[{"containerPort": 3000}]), "declares 3000"),
        (pod(annotations={words.PORT: "70000"}), "'70000': must be a port"),
        (pod(annotations={words.PRODUCT_PORT: "8080", words.PORT: "8080"}), "both listen on 8080"),
        (pod(annotations={words.PORT: "9901"}, ports=[]), "9901 is the sidecar's admin port"),
        (pod(ports=[{"containerPort": 8080}, {"containerPort": 9901}]), "has port 9901"),
        (pod(annotations={words.PROBES: "both"}), "'both': must be"),
        (pod(annotations={words.CONTAINER: "web"}), "'web' is no container of this pod"),
        (pod(annotations={words.PRODUCT: "Acme Notes"}), "'Acme Notes': must be a name"),
        (pod(annotations={words.SECRET: "../keys"}), "'../keys': must be a name"),
        (pod(annotations={words.POLICY: "<secret>"}), "'<secret>': must be a name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_open_choice_is_refused(given: dict[str, Any], told: str) -> None:
    """Nothing is guessed: a pod let in wrongly would fail, or serve calls that nobody counts."""
    with pytest.raises(CannotInject, match=told):
        inject(given, config())


def test_several_containers_without_a_word_are_refused() -> None:
    """The names to choose from are in the message."""
    given = pod()
    given["spec"]["containers"].append({"name": "agent", "image": "x"})
    with pytest.raises(CannotInject, match="one of: app, agent"):
        inject(given, config())


def test_a_pod_of_no_product_is_refused() -> None:
    """Somebody has to pay."""
    given = pod()
    given["metadata"]["labels"] = {words.INJECT: "true"}
    with pytest.raises(CannotInject, match=words.PRODUCT):
        inject(given, config())


def test_a_label_that_is_no_slug_is_refused() -> None:
    """The kubelet would wait without an end for a ConfigMap that nobody can make."""
    given = pod()
    given["metadata"]["labels"][NAME_LABEL] = "Acme_Notes"
    with pytest.raises(CannotInject, match=f"{words.NAME_LABEL}, 'Acme_Notes', is no product"):
        inject(given, config())


def test_a_pod_of_windows_is_refused() -> None:
    """Its nodes cannot run the image."""
    given = pod()
    given["spec"]["os"] = {"name": "windows"}
    with pytest.raises(CannotInject, match="windows"):
        inject(given, config())


@pytest.mark.parametrize(
    ("own", "then"),
    [
        ({}, [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]),
        (
            {"sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]},
            [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}],
        ),
    ],
)
def test_a_low_port_is_opened_to_the_sidecar(own: dict[str, Any], then: list[Any]) -> None:
    """A product that is root may listen on 80; the sidecar never is, and takes it all the same."""
    given = pod(env=[{"name": "PORT", "value": "80"}], ports=[{"containerPort": 80}])
    given["spec"]["securityContext"] = {"runAsUser": 0, **own}
    assert _changed(given)["spec"]["securityContext"] == {"runAsUser": 0, "sysctls": then}


def test_other_ports_need_no_opening() -> None:
    """A pod's security context is left as it is."""
    assert "securityContext" not in _changed(pod())["spec"]


@pytest.mark.parametrize(("native", "warned"), [(True, 0), (False, 1)])
def test_a_job_that_would_not_end_is_told(native: bool, warned: int) -> None:  # noqa: FBT001
    """Before 1.29 a plain container runs on, so the job never completes."""
    given = pod()
    given["spec"]["restartPolicy"] = "Never"
    warnings = inject(given, config(native=native))[1]
    assert len([each for each in warnings if "runs on" in each]) == warned


def test_a_pod_on_the_machines_network_is_refused() -> None:
    """The admin port of loopback would be the machine's."""
    given = pod()
    given["spec"]["hostNetwork"] = True
    with pytest.raises(CannotInject, match="hostNetwork"):
        inject(given, config())


def test_a_neighbour_on_our_port_is_refused() -> None:
    """Two cannot listen on one port of a pod."""
    given = pod(annotations={words.CONTAINER: "app"})
    given["spec"]["containers"].append(
        {"name": "cache", "image": "x", "ports": [{"containerPort": 18080}]}
    )
    with pytest.raises(CannotInject, match="'cache' has port 18080"):
        inject(given, config())


def test_a_volume_of_our_name_is_refused() -> None:
    """Two volumes of one name are no pod."""
    given = pod()
    given["spec"]["volumes"] = [{"name": "bb-keys", "emptyDir": {}}]
    with pytest.raises(CannotInject, match="'bb-keys'"):
        inject(given, config())
