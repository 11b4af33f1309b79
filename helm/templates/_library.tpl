{{/*
Templates for a product's own chart. All of them take the product's root context.

  bizbasics-sidecar.initContainers   the key with the sidecar in it; nothing before Kubernetes 1.29
  bizbasics-sidecar.initContainer    the same as an item, for a chart that has init containers
  bizbasics-sidecar.container        an item of containers before 1.29; nothing from then on
  bizbasics-sidecar.volumes          items of volumes
  bizbasics-sidecar.annotations      annotations of the pod template
  bizbasics-sidecar.productEnv       items of the product container's env: its PORT
  bizbasics-sidecar.productLifecycle the product container's lifecycle; nothing before 1.30
  bizbasics-sidecar.graceSeconds     the minimum of terminationGracePeriodSeconds
*/}}
{{- define "bizbasics-sidecar.facts" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- dict
  "product" (include "bizbasics-sidecar.product" .)
  "secret" (include "bizbasics-sidecar.secret" .)
  "policy" (include "bizbasics-sidecar.policyConfigMap" .)
  "upstream" (eq $v.mode "gateway" | ternary $v.gateway.upstream (printf "http://127.0.0.1:%d" (int $v.ports.product)))
  "port" (int $v.ports.http | toString)
  | toJson -}}
{{- end -}}

{{- define "bizbasics-sidecar.ownBody" -}}
{{- $facts := include "bizbasics-sidecar.facts" . | fromJson -}}
{{- include "bizbasics-sidecar.containerBody" (dict "root" . "facts" $facts) -}}
{{- end -}}

{{- define "bizbasics-sidecar.container" -}}
{{- if not (include "bizbasics-sidecar.isNative" .) -}}
- {{ include "bizbasics-sidecar.ownBody" . | nindent 2 | trim }}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.initContainer" -}}
{{- if include "bizbasics-sidecar.isNative" . -}}
- {{ include "bizbasics-sidecar.ownBody" . | nindent 2 | trim }}
  restartPolicy: Always
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.initContainers" -}}
{{- with include "bizbasics-sidecar.initContainer" . -}}
initContainers:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.volumes" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $facts := include "bizbasics-sidecar.facts" . | fromJson -}}
{{- include "bizbasics-sidecar.volumesBody" (dict "root" . "facts" $facts "claim" $v.journal.existingClaim) -}}
{{- end -}}

{{- define "bizbasics-sidecar.annotations" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- /* Beside a monitor, Prometheus would scrape each pod twice, and all would be counted double. */ -}}
{{- if and $v.monitoring.annotations (not (or $v.monitoring.podMonitor.enabled $v.monitoring.serviceMonitor.enabled)) -}}
prometheus.io/scrape: "true"
prometheus.io/path: /metrics
prometheus.io/port: {{ int $v.ports.metrics | quote }}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.productEnv" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
- name: PORT
  value: {{ int $v.ports.product | quote }}
{{- end -}}

{{- define "bizbasics-sidecar.productLifecycle" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if and (int $v.drain.preStopSeconds) (semverCompare ">=1.30-0" (include "bizbasics-sidecar.kubeVersion" .)) -}}
preStop:
  sleep:
    seconds: {{ int $v.drain.preStopSeconds }}
{{- end -}}
{{- end -}}
