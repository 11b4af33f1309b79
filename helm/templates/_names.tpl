{{/*
The chart's values as JSON, seen from its own templates and from those of a product's chart that
depends on it. Each template reads them from here: a section left empty (null) has its defaults.
*/}}
{{- define "bizbasics-sidecar.values" -}}
{{- /* Found once in a rendering and kept beside the values: it is asked for by each template. */ -}}
{{- if not (hasKey .Values "bizbasicsSidecarFilled") -}}
{{- $given := .Values -}}
{{- if ne .Chart.Name "bizbasics-sidecar" -}}
{{- if not (hasKey .Subcharts "bizbasics-sidecar") -}}
{{- fail "bizbasics-sidecar: list this chart under dependencies in Chart.yaml, without an alias" -}}
{{- end -}}
{{- $given = index .Values "bizbasics-sidecar" -}}
{{- end -}}
{{- $defaults := include "bizbasics-sidecar.defaults" . | fromJson -}}
{{- $_ := set .Values "bizbasicsSidecarFilled" (include "bizbasics-sidecar.filled" (dict "given" $given "defaults" $defaults)) -}}
{{- end -}}
{{- .Values.bizbasicsSidecarFilled -}}
{{- end -}}

{{/*
What is given, with the defaults of what is not, as JSON. Takes a dict: given, defaults. Maps with keys
of a user's choice are taken as they are, and empty where they are null: `limits: null` is no limit.
*/}}
{{- define "bizbasics-sidecar.filled" -}}
{{- $given := .given | default dict -}}
{{- $defaults := .defaults -}}
{{- $own := list "requests" "limits" "labels" "matchLabels" -}}
{{- $context := list "podSecurityContext" "securityContext" -}}
{{- $filled := dict -}}
{{- range $name, $default := $defaults -}}
{{- $value := get $given $name -}}
{{- if not (hasKey $given $name) -}}{{- $value = "" -}}{{- end -}}
{{- if or (not (hasKey $given $name)) (kindIs "invalid" $value) -}}
{{- $_ := set $filled $name (and $given (has $name $own) | ternary dict $default) -}}
{{- else if kindIs "map" $default -}}
{{- $under := or (has $name $own) (has $name $context) | ternary dict $default -}}
{{- $_ := set $filled $name (include "bizbasics-sidecar.filled" (dict "given" $value "defaults" $under) | fromJson) -}}
{{- else -}}
{{- $_ := set $filled $name $value -}}
{{- end -}}
{{- end -}}
{{- range $name, $value := $given -}}
{{- if not (or (hasKey $defaults $name) (kindIs "invalid" $value)) -}}
{{- $_ := set $filled $name $value -}}
{{- end -}}
{{- end -}}
{{- $filled | toJson -}}
{{- end -}}

{{/* The chart's own appVersion: within a product's chart, `.Chart` is the product's. */}}
{{- define "bizbasics-sidecar.appVersion" -}}
{{- if eq .Chart.Name "bizbasics-sidecar" -}}
{{- .Chart.AppVersion -}}
{{- else -}}
{{- (index .Subcharts "bizbasics-sidecar").Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{/* The product's slug; every name is derived from it. */}}
{{- define "bizbasics-sidecar.product" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- /* The default is for `helm lint`, in which nothing is required. */ -}}
{{- $v.product | required "bizbasics-sidecar: product: give the product's slug" | default "product" -}}
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

{{/* Labels of each object: the chart's, and the values' commonLabels, which cannot replace them. */}}
{{- define "bizbasics-sidecar.labels" -}}
{{- include "bizbasics-sidecar.labelsWith" (dict "root" . "extra" dict) -}}
{{- end -}}

{{/* Those labels and a user's own, which cannot replace the chart's. Takes a dict: root, extra. */}}
{{- define "bizbasics-sidecar.labelsWith" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
{{- $ours := include "bizbasics-sidecar.selectorLabels" .root | fromYaml -}}
{{- $_ := set $ours "app.kubernetes.io/version" (include "bizbasics-sidecar.appVersion" .root) -}}
{{- $_ := set $ours "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $ours "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- merge (dict) $ours (.extra | default dict) $v.commonLabels | toYaml -}}
{{- end -}}

{{/* The labels by which the pods that hold a sidecar are found. */}}
{{- define "bizbasics-sidecar.podSelector" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if has $v.mode (list "gateway" "authz") -}}
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
{{- $name := list $v.image.registry $v.image.repository | compact | join "/" -}}
{{- if $v.image.digest -}}
{{- printf "%s@%s" $name $v.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name ($v.image.tag | default (include "bizbasics-sidecar.appVersion" .)) -}}
{{- end -}}
{{- end -}}

{{/* The service account of the gateway's or injector's pods. */}}
{{- define "bizbasics-sidecar.serviceAccount" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
{{- if $v.serviceAccount.create -}}
{{- $v.serviceAccount.name | default (include "bizbasics-sidecar.fullname" .) -}}
{{- else -}}
{{- $v.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/*
CIDRs of settings.trustedProxies, between commas: a word among them stands for those of its list.
*/}}
{{- define "bizbasics-sidecar.trustedProxies" -}}
{{- $presets := dict
  "loopback" (list "127.0.0.0/8" "::1/128")
  "private" (list "10.0.0.0/8" "100.64.0.0/10" "172.16.0.0/12" "192.168.0.0/16" "fc00::/7")
  "flannel" (list "10.244.0.0/16")
  "k3s" (list "10.42.0.0/16")
  "calico" (list "192.168.0.0/16")
  "google" (list "35.191.0.0/16" "130.211.0.0/22") -}}
{{- $found := list -}}
{{- range splitList "," . -}}
{{- $word := trim . -}}
{{- if hasKey $presets $word -}}
{{- $found = concat $found (get $presets $word) -}}
{{- else if regexMatch "^[a-z0-9]*[g-z]" $word -}}
{{- fail (printf "settings.trustedProxies: %s: must be CIDRs, or one of %s" $word (keys $presets | sortAlpha | join ", ")) -}}
{{- else if $word -}}
{{- $found = append $found $word -}}
{{- end -}}
{{- end -}}
{{- $found | uniq | join "," -}}
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
