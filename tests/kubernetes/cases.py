"""Values that the chart is tried with: how teams use it, and how somebody might break it."""

from __future__ import annotations

from typing import Any, Final

from tests.kubernetes.rendering import POLICY

Values = dict[str, Any]

_PRODUCT: Final[Values] = {"product": "acme-notes", "policy": {"text": POLICY}}
_GATEWAY: Final[Values] = {
    **_PRODUCT,
    "mode": "gateway",
    "gateway": {"upstream": "http://notes.acme.svc:8080"},
}
_AUTHZ: Final[Values] = {**_PRODUCT, "mode": "authz"}
_EVERYTHING: Final[Values] = {
    "commonLabels": {"team": "notes", "app.kubernetes.io/name": "not-this"},
    "image": {
        "registry": "registry.example.com:5000/mirror",
        "digest": "sha256:" + "a" * 64,
        "pullSecrets": [{"name": "registry"}],
    },
    "existingSecret": "keys",
    "platform": {
        "apiUrl": "https://api.bizbasics.app",
        "authUrl": "https://auth.bizbasics.app",
        "issuer": "https://auth.bizbasics.app",
        "caSecret": "internal-ca",
    },
    "redis": True,
    "secretKeys": {"apiKey": "BIZBASICS_API_KEY", "webhookSecret": "WEBHOOK"},
    "settings": {
        "webhookUrl": "https://notes.example.com/hook",
        "maxInflight": 1000000,
        "idleTimeout": "2m",
        "trustedProxies": "10.0.0.0/8, google,loopback",
    },
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraArgs": ["--log-format=text"],
    "extraVolumes": [{"name": "zones", "configMap": {"name": "zones"}}],
    "extraVolumeMounts": [{"name": "zones", "mountPath": "/zones", "readOnly": True}],
    "serviceAccount": {"annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/x"}},
    "podSecurityContext": {"fsGroup": 1000, "fsGroupChangePolicy": "OnRootMismatch"},
    "probes": {"liveness": {"periodSeconds": 20}, "startup": {"failureThreshold": 60}},
    "drain": {"preStopSeconds": 10, "seconds": 300},
    "journal": {"enabled": True},
    "networkPolicy": {
        "from": [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
        ],
        "metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}],
        "extraPorts": [9000],
    },
    "monitoring": {
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "annotations": {"grafana_folder": "Metering"}},
        "rules": {"enabled": True, "runbookUrl": "https://runbooks.example.com/bb/"},
    },
}

GOOD: Final[dict[str, Values]] = {
    "sidecar": _PRODUCT,
    "sidecar-config-map-of-yours": {
        "product": "acme-notes",
        "policy": {"existingConfigMap": "rules"},
        "networkPolicy": {"podLabels": {"app": "notes"}},
    },
    "gateway": _GATEWAY,
    "gateway-everything": {
        **_GATEWAY,
        **_EVERYTHING,
        "gateway": {
            **_GATEWAY["gateway"],
            "service": {"type": "LoadBalancer", "port": 443, "annotations": {"a": "b"}},
            "autoscaling": {"enabled": True, "inflightPerPod": 200},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "annotations": {"nginx.ingress.kubernetes.io/proxy-read-timeout": "3600"},
                "hosts": [
                    {"host": "notes.example.com"},
                    {"host": "api.example.com", "paths": [{"path": "/v1", "pathType": "Exact"}]},
                ],
                "tls": [{"secretName": "notes-tls", "hosts": ["notes.example.com"]}],
            },
            "httpRoute": {
                "enabled": True,
                "parentRefs": [{"name": "public", "namespace": "ingress"}],
                "hostnames": ["notes.example.com"],
                "timeouts": {"request": "0s"},
            },
            "podLabels": {"team": "notes"},
            "podAnnotations": {"prometheus.io/scrape": "false"},
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
        },
    },
    "gateway-one-replica-with-claim": {
        **_GATEWAY,
        "gateway": {
            **_GATEWAY["gateway"],
            "replicas": 1,
            "podDisruptionBudget": {"enabled": False},
        },
        "journal": {"enabled": True, "existingClaim": "journal"},
        "networkPolicy": {"enabled": False},
        "monitoring": {"annotations": False},
    },
    "gateway-on-openshift": {
        **_GATEWAY,
        "platform": {"caConfigMap": "trust", "caKey": "bundle.pem"},
        "serviceAccount": {"create": False, "name": "metering"},
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "securityContext": {"runAsUser": None, "runAsGroup": None},
        "gateway": {**_GATEWAY["gateway"], "autoscaling": {"enabled": True}},
    },
    "gateway-ipv6": {
        **_GATEWAY,
        "listenAddress": "::",
        "ports": {"http": 80},
        "monitoring": {"serviceMonitor": {"enabled": True}},
    },
    "authz": _AUTHZ,
    "authz-everything": {
        **_AUTHZ,
        **_EVERYTHING,
        "secretKeys": {"sessionSecret": "SESSION"},
        "settings": {"maxInflight": 1000000, "trustedProxies": "private"},
        "journal": {"enabled": True, "sizeLimit": "1Gi", "storageClass": "fast"},
        "authz": {
            "service": {"port": 80, "annotations": {"a": "b"}},
            "grpc": {"enabled": True, "tlsSecret": "quota-tls", "clientCa": True},
            "autoscaling": {"enabled": True},
            "podLabels": {"team": "notes"},
            "podAnnotations": {"a": "b"},
            "nodeSelector": {"kubernetes.io/arch": "arm64"},
            "tolerations": [{"key": "spot", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "high",
        },
    },
    "authz-ipv6": {
        **_AUTHZ,
        "listenAddress": "::",
        "authz": {"replicas": 1, "grpc": {"enabled": True, "port": 9000}},
        "monitoring": {"serviceMonitor": {"enabled": True}},
    },
    "injector": {"mode": "injector"},
    "injector-everything": {
        **_EVERYTHING,
        "mode": "injector",
        "injector": {
            "failurePolicy": "Ignore",
            "metricsPort": 9100,
            "from": [{"ipBlock": {"cidr": "10.0.0.1/32"}}],
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "infra", "operator": "Exists"}],
            "priorityClassName": "system-cluster-critical",
            "excludedNamespaces": ["argocd"],
            "protectedNamespaces": ["acme", "other"],
            "namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
            "certificate": {
                "source": "certManager",
                "issuerRef": {"name": "internal", "kind": "ClusterIssuer"},
            },
        },
    },
    "injector-certificate-of-yours": {
        "mode": "injector",
        "listenAddress": "::",
        "injector": {
            "certificate": {"source": "existing", "existingSecret": "tls", "caBundle": "Zm9v"},
        },
    },
}

_INJECTION: Final = 'x"\n  injected: true\n#'

HOSTILE: Final[dict[str, Values]] = {
    "a policy that is YAML of its own": {
        **_PRODUCT,
        "policy": {"text": "---\n  a: 1\n\n}}{{ .Values }}\n\t'\"|>- : #\n" + POLICY},
    },
    "a policy that begins with white space": {**_PRODUCT, "policy": {"text": "\n   x: 1\n y: 2\n"}},
    "labels that would replace ours": {
        **_GATEWAY,
        "gateway": {
            **_GATEWAY["gateway"],
            "podLabels": {"app.kubernetes.io/name": "other", "app.kubernetes.io/instance": "x"},
        },
    },
    "variables with quotes and line breaks": {
        **_GATEWAY,
        "extraEnv": [{"name": "A", "value": _INJECTION}, {"name": "B", "value": "$(PORT) {{x}}"}],
    },
    "an issuer with quotes": {**_GATEWAY, "platform": {"issuer": _INJECTION}},
    "annotations with everything": {
        **_GATEWAY,
        "gateway": {
            **_GATEWAY["gateway"],
            "podAnnotations": {"a/b": _INJECTION, "c": "yes", "d": "1"},
        },
    },
    "the longest names": {
        **_GATEWAY,
        "product": "p" * 54,
        "fullnameOverride": "f" * 54,
        "nameOverride": "n" * 54,
    },
    "a slug that YAML takes for something else": {
        **_GATEWAY,
        "product": "on",
        "nameOverride": "1e3",
    },
}

REFUSED: Final[dict[str, tuple[Values, str]]] = {
    "no product": ({"policy": {"text": POLICY}}, "product"),
    "no policy": ({"product": "acme-notes"}, "policy.text"),
    "a mode that is none": ({**_PRODUCT, "mode": "both"}, "mode"),
    "a key that is none": ({**_PRODUCT, "polcy": {}}, "polcy"),
    "a proxy that is a name": ({**_PRODUCT, "settings": {"trustedProxies": "ingress"}}, "trusted"),
    "a setting that is none": ({**_PRODUCT, "settings": {"maxInfligt": 1}}, "maxInfligt"),
    "a slug with a capital": ({**_PRODUCT, "product": "Acme"}, "product"),
    "a slug that leaves its line": ({**_PRODUCT, "product": "a\nb: c"}, "product"),
    "an upstream with a path": (
        {**_GATEWAY, "gateway": {"upstream": "http://notes/api"}},
        "upstream",
    ),
    "a gateway before nothing": ({**_GATEWAY, "gateway": {}}, "gateway.upstream"),
    "a port that is none": ({**_PRODUCT, "ports": {"http": 70000}}, "http"),
    "a port in words": ({**_PRODUCT, "ports": {"http": "8080"}}, "http"),
    "a digest that is none": ({**_PRODUCT, "image": {"digest": "sha256:abc"}}, "digest"),
    "one journal for several replicas": (
        {**_GATEWAY, "journal": {"enabled": True, "existingClaim": "j"}},
        "existingClaim",
    ),
    "one journal for injected pods": (
        {"mode": "injector", "journal": {"enabled": True, "existingClaim": "j"}},
        "existingClaim",
    ),
    "one journal for several doors": (
        {**_AUTHZ, "journal": {"enabled": True, "existingClaim": "j"}},
        "existingClaim: in mode authz each pod has a claim of its own",
    ),
    "workers that authz has not": (
        {**_AUTHZ, "settings": {"workers": 2}},
        "settings.workers: mode authz has no such setting",
    ),
    "a key for notices that authz does not publish": (
        {**_AUTHZ, "secretKeys": {"apiKey": "BIZBASICS_API_KEY"}},
        "secretKeys.apiKey: mode authz",
    ),
    "one port for HTTP and gRPC": (
        {**_AUTHZ, "authz": {"grpc": {"enabled": True, "port": 8080}}},
        "authz.grpc.port: 8080 is taken",
    ),
    "certificates of clients without TLS": (
        {**_AUTHZ, "authz": {"grpc": {"enabled": True, "clientCa": True}}},
        "authz.grpc.clientCa",
    ),
    "an authz that scales down to more than most": (
        {**_AUTHZ, "authz": {"autoscaling": {"enabled": True, "minReplicas": 12}}},
        "authz.autoscaling: minReplicas 12 is over maxReplicas 10",
    ),
    "an issuer without a name": (
        {"mode": "injector", "injector": {"certificate": {"source": "certManager"}}},
        "issuerRef.name",
    ),
    "a certificate without a Secret": (
        {"mode": "injector", "injector": {"certificate": {"source": "existing"}}},
        "existingSecret",
    ),
    "a webhook that each pod would register": (
        {**_GATEWAY, "settings": {"webhookUrl": "https://notes.example.com/hook"}},
        "webhookSecret",
    ),
    "pods scraped twice": (
        {
            **_GATEWAY,
            "monitoring": {"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True}},
        },
        "scrape each pod twice",
    ),
    "a ServiceMonitor of no Service": (
        {**_PRODUCT, "monitoring": {"serviceMonitor": {"enabled": True}}},
        "monitoring.podMonitor",
    ),
    "fewest pods that are more than most": (
        {
            **_GATEWAY,
            "gateway": {
                **_GATEWAY["gateway"],
                "autoscaling": {"enabled": True, "minReplicas": 12},
            },
        },
        "minReplicas 12 is over maxReplicas 10",
    ),
    "a variable that the chart sets": (
        {**_GATEWAY, "extraEnv": [{"name": "SIDECAR_ADMIN", "value": "127.0.0.1:1"}]},
        "extraEnv: SIDECAR_ADMIN",
    ),
    "a credential for all to read": (
        {"mode": "injector", "extraEnv": [{"name": "PLATFORM_INTERNAL_KEY", "value": "bbas_x"}]},
        "extraEnv: PLATFORM_INTERNAL_KEY",
    ),
    "a flag that the chart sets": (
        {**_GATEWAY, "extraArgs": ["--upstream=http://other"]},
        "extraArgs: --upstream",
    ),
    "a volume with a name of ours": (
        {**_GATEWAY, "extraVolumes": [{"name": "bb-keys", "emptyDir": {}}]},
        "extraVolumes: bb-keys",
    ),
    "two places of one authority": (
        {**_GATEWAY, "platform": {"caSecret": "a", "caConfigMap": "b"}},
        "caSecret and caConfigMap",
    ),
    "an Ingress without a host": (
        {**_GATEWAY, "gateway": {**_GATEWAY["gateway"], "ingress": {"enabled": True}}},
        "gateway.ingress.hosts",
    ),
    "a route without a Gateway": (
        {**_GATEWAY, "gateway": {**_GATEWAY["gateway"], "httpRoute": {"enabled": True}}},
        "gateway.httpRoute.parentRefs",
    ),
    "nothing to scale on": (
        {
            **_GATEWAY,
            "gateway": {
                **_GATEWAY["gateway"],
                "autoscaling": {"enabled": True, "cpuPercent": 0},
            },
        },
        "gateway.autoscaling: nothing to scale on",
    ),
    "a label that leaves its line": (
        {**_GATEWAY, "gateway": {**_GATEWAY["gateway"], "podLabels": {"a": "b\nc: d"}}},
        "podLabels",
    ),
    "a variable with a key that is none": (
        {**_GATEWAY, "extraEnv": [{"name": "A", "valueFrm": {}}]},
        "valueFrm",
    ),
    "ports that are one": ({**_GATEWAY, "ports": {"http": 8080, "product": 8080}}, "ports"),
    "the metrics at the admin port": ({**_GATEWAY, "ports": {"metrics": 9901}}, "metrics"),
    "more workers than memory": (
        {**_GATEWAY, "settings": {"workers": 4}},
        "resources.limits.memory: 256Mi is too little for settings.workers 4: raise it to 384Mi",
    ),
    "memory that no process fits into": (
        {"mode": "injector", "resources": {"limits": {"memory": "64M"}}},
        "64M is too little for settings.workers 1",
    ),
    "memory in bytes that are too few": (
        {**_GATEWAY, "resources": {"limits": {"memory": 60000000}}},
        "60000000 is too little for settings.workers 1: raise it to 80Mi",
    ),
    "memory in thousandths of a byte": (
        {**_GATEWAY, "resources": {"limits": {"memory": "256m"}}},
        "write it like 256Mi",
    ),
}
