{{/* What values.yaml says, for a section left empty; by `make chart-readme`. */}}
{{- define "bizbasics-sidecar.defaults" -}}
{
 "mode": "sidecar",
 "product": "",
 "nameOverride": "",
 "fullnameOverride": "",
 "kubeVersion": "",
 "listenAddress": "0.0.0.0",
 "commonLabels": {},
 "image": {
  "registry": "",
  "repository": "bizbasics-sidecar",
  "tag": "",
  "digest": "",
  "pullPolicy": "IfNotPresent",
  "pullSecrets": []
 },
 "policy": {
  "text": "",
  "existingConfigMap": ""
 },
 "existingSecret": "",
 "secretKeys": {
  "platformKey": "PLATFORM_INTERNAL_KEY",
  "sessionSecret": "APP_SESSION_SECRET",
  "redisUrl": "REDIS_URL",
  "apiKey": "",
  "webhookSecret": ""
 },
 "platform": {
  "apiUrl": "",
  "authUrl": "",
  "issuer": "",
  "caSecret": "",
  "caConfigMap": "",
  "caKey": "ca.crt"
 },
 "ports": {
  "http": 8080,
  "product": 18080,
  "admin": 9901,
  "metrics": 9902
 },
 "native": "auto",
 "redis": false,
 "settings": {},
 "extraEnv": [],
 "extraArgs": [],
 "extraVolumes": [],
 "extraVolumeMounts": [],
 "serviceAccount": {
  "create": true,
  "name": "",
  "annotations": {}
 },
 "podSecurityContext": {
  "runAsNonRoot": true,
  "runAsUser": 65532,
  "runAsGroup": 65532,
  "fsGroup": 65532,
  "seccompProfile": {
   "type": "RuntimeDefault"
  }
 },
 "securityContext": {
  "runAsNonRoot": true,
  "runAsUser": 65532,
  "runAsGroup": 65532,
  "allowPrivilegeEscalation": false,
  "readOnlyRootFilesystem": true,
  "capabilities": {
   "drop": [
    "ALL"
   ]
  },
  "seccompProfile": {
   "type": "RuntimeDefault"
  }
 },
 "probes": {
  "startup": {
   "periodSeconds": 1,
   "failureThreshold": 30
  },
  "liveness": {
   "periodSeconds": 10,
   "timeoutSeconds": 3,
   "failureThreshold": 6
  },
  "readiness": {
   "periodSeconds": 5,
   "timeoutSeconds": 3,
   "failureThreshold": 2
  }
 },
 "drain": {
  "preStopSeconds": 5,
  "seconds": 25
 },
 "journal": {
  "enabled": false,
  "sizeLimit": "256Mi",
  "existingClaim": "",
  "storageClass": ""
 },
 "resources": {
  "requests": {
   "cpu": "100m",
   "memory": "128Mi"
  },
  "limits": {
   "cpu": "1",
   "memory": "256Mi"
  }
 },
 "networkPolicy": {
  "enabled": true,
  "podLabels": {},
  "from": [],
  "metricsFrom": [],
  "extraPorts": []
 },
 "monitoring": {
  "annotations": true,
  "podMonitor": {
   "enabled": false,
   "interval": "30s",
   "labels": {}
  },
  "serviceMonitor": {
   "enabled": false,
   "interval": "30s",
   "labels": {}
  },
  "dashboards": {
   "enabled": false,
   "labels": {
    "grafana_dashboard": "1"
   },
   "annotations": {}
  },
  "rules": {
   "enabled": false,
   "labels": {},
   "runbookUrl": ""
  }
 },
 "gateway": {
  "upstream": "",
  "replicas": 2,
  "service": {
   "type": "ClusterIP",
   "port": 80,
   "annotations": {}
  },
  "autoscaling": {
   "enabled": false,
   "minReplicas": 2,
   "maxReplicas": 10,
   "cpuPercent": 70,
   "inflightPerPod": 0
  },
  "podDisruptionBudget": {
   "enabled": true,
   "maxUnavailable": 1
  },
  "ingress": {
   "enabled": false,
   "className": "",
   "annotations": {},
   "hosts": [],
   "tls": []
  },
  "httpRoute": {
   "enabled": false,
   "annotations": {},
   "parentRefs": [],
   "hostnames": [],
   "paths": [
    "/"
   ],
   "timeouts": {}
  },
  "podLabels": {},
  "podAnnotations": {},
  "nodeSelector": {},
  "tolerations": [],
  "affinity": {},
  "priorityClassName": ""
 },
 "authz": {
  "replicas": 2,
  "service": {
   "port": 8093,
   "annotations": {}
  },
  "grpc": {
   "enabled": false,
   "port": 8094,
   "tlsSecret": "",
   "clientCa": false
  },
  "autoscaling": {
   "enabled": false,
   "minReplicas": 2,
   "maxReplicas": 10,
   "cpuPercent": 70
  },
  "podDisruptionBudget": {
   "enabled": true,
   "maxUnavailable": 1
  },
  "podLabels": {},
  "podAnnotations": {},
  "nodeSelector": {},
  "tolerations": [],
  "affinity": {},
  "priorityClassName": ""
 },
 "injector": {
  "replicas": 2,
  "port": 8443,
  "metricsPort": 9901,
  "from": [],
  "failurePolicy": "Fail",
  "timeoutSeconds": 5,
  "namespaceSelector": {
   "matchLabels": {
    "sidecar.bizbasics.ai/injection": "enabled"
   }
  },
  "excludedNamespaces": [],
  "protectedNamespaces": [],
  "certificate": {
   "source": "generated",
   "days": 3650,
   "issuerRef": {
    "name": "",
    "kind": "Issuer",
    "group": "cert-manager.io"
   },
   "existingSecret": "",
   "caBundle": ""
  },
  "probes": {
   "liveness": {
    "periodSeconds": 10,
    "failureThreshold": 6
   },
   "readiness": {
    "periodSeconds": 5
   }
  },
  "resources": {
   "requests": {
    "cpu": "20m",
    "memory": "64Mi"
   },
   "limits": {
    "cpu": "500m",
    "memory": "128Mi"
   }
  },
  "nodeSelector": {},
  "tolerations": [],
  "affinity": {},
  "priorityClassName": ""
 }
}
{{- end -}}
