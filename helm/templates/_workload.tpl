{{/*
What stands around pods of ours that serve callers: the gateway's and authz's. Each template takes a
dict: root (the chart's context), part (the values of `gateway` or of `authz`).
*/}}

{{/* Metadata of an object with the release's name. Takes the root context. */}}
{{- define "bizbasics-sidecar.ownMetadata" -}}
name: {{ include "bizbasics-sidecar.fullname" . | quote }}
namespace: {{ .Release.Namespace | quote }}
labels:
  {{- include "bizbasics-sidecar.labels" . | nindent 2 }}
{{- end -}}

{{- define "bizbasics-sidecar.podTemplate" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
metadata:
  labels:
    {{- include "bizbasics-sidecar.labelsWith" (dict "root" .root "extra" .part.podLabels) | nindent 4 }}
  {{- $annotations := merge (dict) .part.podAnnotations (include "bizbasics-sidecar.annotations" .root | fromYaml) }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "bizbasics-sidecar.serviceAccount" .root | quote }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ include "bizbasics-sidecar.graceSeconds" .root }}
  {{- with $v.image.pullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- include "bizbasics-sidecar.podSecurityContext" (dict "root" .root "port" $v.ports.http) | nindent 4 }}
  containers:
    - {{ include "bizbasics-sidecar.ownBody" .root | nindent 6 | trim }}
  volumes:
    {{- include "bizbasics-sidecar.volumes" .root | nindent 4 }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "bizbasics-sidecar.selectorLabels" $.root | nindent 10 }}
    {{- end }}
  {{- with include "bizbasics-sidecar.placement" .part }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Takes also: kind, of the workload. */}}
{{- define "bizbasics-sidecar.autoscaler" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
{{- with .part.autoscaling -}}
{{- if .enabled -}}
{{- if gt (int .minReplicas) (int .maxReplicas) }}
{{- fail (printf "%s.autoscaling: minReplicas %d is over maxReplicas %d" $v.mode (int .minReplicas) (int .maxReplicas)) }}
{{- end }}
{{- if and (not (int .cpuPercent)) (not (int .inflightPerPod)) }}
{{- fail (printf "%s.autoscaling: nothing to scale on: set cpuPercent, or inflightPerPod where an adapter serves that metric" $v.mode) }}
{{- end -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "bizbasics-sidecar.ownMetadata" $.root | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: {{ $.kind }}
    name: {{ include "bizbasics-sidecar.fullname" $.root | quote }}
  minReplicas: {{ int .minReplicas }}
  maxReplicas: {{ int .maxReplicas }}
  metrics:
    {{- if int .inflightPerPod }}
    - type: Pods
      pods:
        metric:
          name: bb_sidecar_inflight_requests
        target:
          type: AverageValue
          averageValue: {{ int .inflightPerPod | quote }}
    {{- end }}
    {{- if int .cpuPercent }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int .cpuPercent }}
    {{- end }}
  behavior:
    scaleDown:
      # Streams last long: a pod that is removed now is often needed again within minutes.
      stabilizationWindowSeconds: 300
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.disruptionBudget" -}}
{{- with .part.podDisruptionBudget -}}
{{- if .enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "bizbasics-sidecar.ownMetadata" $.root | nindent 2 }}
spec:
  maxUnavailable: {{ int .maxUnavailable }}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "bizbasics-sidecar.selectorLabels" $.root | nindent 6 }}
{{- end -}}
{{- end -}}
{{- end -}}
