{{/*
The chart's values as JSON, for its own templates and for those of a product's chart that depends on it.
*/}}
{{- define "bizbasics-sidecar.values" -}}
{{- if eq .Chart.Name "bizbasics-sidecar" -}}
{{- .Values | toJson -}}
{{- else -}}
{{- index .Values "bizbasics-sidecar" | required "bizbasics-sidecar: list this chart under dependencies in Chart.yaml, without an alias" | toJson -}}
{{- end -}}
{{- end -}}

{{/* The product's slug; every name is derived from it. */}}
{{- define "bizbasics-sidecar.product" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $v.product | required "bizbasics-sidecar: product: give the product's slug" -}}
{{- end -}}

{{- define "bizbasics-sidecar.name" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $v.nameOverride | default "bizbasics-sidecar" | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "bizbasics-sidecar.fullname" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if $v.fullnameOverride -}}
{{- $v.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "bizbasics-sidecar.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bizbasics-sidecar.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels of the gateway's or injector's pods, which must not change in a release. */}}
{{- define "bizbasics-sidecar.selectorLabels" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
app.kubernetes.io/name: {{ include "bizbasics-sidecar.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: {{ $v.mode | quote }}
{{- end -}}

{{- define "bizbasics-sidecar.labels" -}}
{{ include "bizbasics-sidecar.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- end -}}

{{/* Those labels and a user's own, which cannot replace them. Takes a dict: root, extra. */}}
{{- define "bizbasics-sidecar.labelsWith" -}}
{{- merge (dict) (include "bizbasics-sidecar.labels" .root | fromYaml) (.extra | default dict) | toYaml -}}
{{- end -}}

{{/* The labels by which the pods that hold a sidecar are found. */}}
{{- define "bizbasics-sidecar.podSelector" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if eq $v.mode "gateway" -}}
{{- include "bizbasics-sidecar.selectorLabels" . -}}
{{- else if eq $v.mode "injector" -}}
sidecar.bizbasics.ai/inject: "true"
{{- else if $v.networkPolicy.podLabels -}}
{{- toYaml $v.networkPolicy.podLabels -}}
{{- else -}}
app.kubernetes.io/name: {{ include "bizbasics-sidecar.product" . | quote }}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.image" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if $v.image.digest -}}
{{- printf "%s@%s" $v.image.repository $v.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $v.image.repository $v.image.tag -}}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.kubeVersion" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $v.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- end -}}

{{/* "true" if native sidecars work (Kubernetes 1.29), unless the values decide. */}}
{{- define "bizbasics-sidecar.isNative" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if eq $v.native "auto" -}}
{{- if semverCompare ">=1.29-0" (include "bizbasics-sidecar.kubeVersion" .) -}}true{{- end -}}
{{- else if eq $v.native "always" -}}true
{{- end -}}
{{- end -}}

{{/* The minimum time that a pod needs to end: the hook, the drain, and the last reports to the platform. */}}
{{- define "bizbasics-sidecar.graceSeconds" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- add (int $v.drain.preStopSeconds) (int $v.drain.seconds) 5 -}}
{{- end -}}

{{/* Where another template keeps the policy and the keys. */}}
{{- define "bizbasics-sidecar.policyConfigMap" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $v.policy.existingConfigMap | default (printf "%s-policy" (include "bizbasics-sidecar.product" .)) -}}
{{- end -}}

{{- define "bizbasics-sidecar.secret" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- $v.existingSecret | default (printf "%s-secrets" (include "bizbasics-sidecar.product" .)) -}}
{{- end -}}

{{/* Where pods of ours run. Takes the values of the gateway or of the injector. */}}
{{- define "bizbasics-sidecar.placement" -}}
{{- $parts := dict -}}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- with index $ $name -}}
{{- $_ := set $parts $name . -}}
{{- end -}}
{{- end -}}
{{- with $parts -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}
