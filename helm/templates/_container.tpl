{{/*
The sidecar's container: the one body that the library, the injector and the gateway share.
Takes a dict: root (the chart's context), facts (product, secret, upstream, port as strings).
*/}}
{{- define "bizbasics-sidecar.containerBody" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
{{- $facts := .facts -}}
{{- $ports := list (int $v.ports.http) (int $v.ports.product) (int $v.ports.admin) -}}
{{- if ne (len (uniq $ports)) 3 -}}
{{- fail (printf "ports: http, product and admin are %v: give three numbers that differ" $ports) -}}
{{- end -}}
{{- if and $v.settings.webhookUrl (not $v.secretKeys.webhookSecret) -}}
{{- fail "settings.webhookUrl: every pod would register the URL anew: register it once with `bb-sidecar webhooks register`, put the secret into the Secret and its key into secretKeys.webhookSecret" -}}
{{- end -}}
{{- $taken := list "PORT" "PRODUCT_SLUG" "PLATFORM_API_URL" "AUTH_SERVICE_URL" "PLATFORM_INTERNAL_KEY" "BIZBASICS_API_KEY" "APP_SESSION_SECRET" "REDIS_URL" -}}
{{- range $v.extraEnv -}}
{{- if or (hasPrefix "SIDECAR_" .name) (has .name $taken) -}}
{{- fail (printf "extraEnv: %s: the chart has a value of its own for it: see README.md under settings, platform, ports and secretKeys" .name) -}}
{{- end -}}
{{- end -}}
name: bb-sidecar
image: {{ include "bizbasics-sidecar.image" .root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args: [run]
ports:
  - name: bb-http
    containerPort: {{ int $v.ports.http }}
    protocol: TCP
  - name: bb-admin
    containerPort: {{ int $v.ports.admin }}
    protocol: TCP
env:
  - name: PORT
    value: {{ $facts.port | quote }}
  - name: SIDECAR_UPSTREAM
    value: {{ $facts.upstream | quote }}
  - name: PRODUCT_SLUG
    value: {{ $facts.product | quote }}
  - name: SIDECAR_HOST
    value: {{ $v.listenAddress | quote }}
  - name: SIDECAR_ADMIN
    value: {{ printf "%s:%d" (ternary "[::]" $v.listenAddress (eq $v.listenAddress "::")) (int $v.ports.admin) | quote }}
  - name: SIDECAR_POLICY
    value: /etc/bb-sidecar/policy/policy.yaml
  - name: SIDECAR_KEY_FILE
    value: {{ printf "/etc/bb-sidecar/keys/%s" $v.secretKeys.platformKey | quote }}
  {{- with $v.secretKeys.apiKey }}
  - name: SIDECAR_API_KEY_FILE
    value: {{ printf "/etc/bb-sidecar/keys/%s" . | quote }}
  {{- end }}
  {{- if $v.settings.webhookUrl }}
  - name: SIDECAR_WEBHOOK_SECRET_FILE
    value: {{ printf "/etc/bb-sidecar/keys/%s" $v.secretKeys.webhookSecret | quote }}
  {{- end }}
  - name: SIDECAR_DRAIN_SECONDS
    value: {{ int $v.drain.seconds | quote }}
  - name: SIDECAR_LOG_FORMAT
    value: json
  {{- with $v.platform.apiUrl }}
  - name: PLATFORM_API_URL
    value: {{ . | quote }}
  {{- end }}
  {{- with $v.platform.authUrl }}
  - name: AUTH_SERVICE_URL
    value: {{ . | quote }}
  {{- end }}
  {{- with $v.platform.issuer }}
  - name: SIDECAR_ISSUER
    value: {{ . | quote }}
  {{- end }}
  {{- if $v.journal.enabled }}
  - name: SIDECAR_JOURNAL
    value: /var/lib/bb-sidecar/journal
  {{- end }}
  {{- range $name, $value := $v.settings }}
  - name: {{ printf "SIDECAR_%s" (snakecase $name | upper) }}
    value: {{ (kindIs "float64" $value | ternary (int64 $value | toString) ($value | toString)) | quote }}
  {{- end }}
  - name: APP_SESSION_SECRET
    valueFrom:
      secretKeyRef:
        name: {{ $facts.secret | quote }}
        key: {{ $v.secretKeys.sessionSecret | quote }}
        optional: true
  {{- if $v.redis }}
  - name: REDIS_URL
    valueFrom:
      secretKeyRef:
        name: {{ $facts.secret | quote }}
        key: {{ $v.secretKeys.redisUrl | quote }}
  {{- end }}
  {{- with $v.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
volumeMounts:
  # A whole folder, and no subPath: else the kubelet's changes would never be seen.
  - name: bb-policy
    mountPath: /etc/bb-sidecar/policy
    readOnly: true
  - name: bb-keys
    mountPath: /etc/bb-sidecar/keys
    readOnly: true
  # An empty folder over the place of the pod's token, which is the product's and not ours.
  - name: bb-no-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- if $v.journal.enabled }}
  - name: bb-journal
    mountPath: /var/lib/bb-sidecar
  {{- end }}
resources:
  {{- toYaml $v.resources | nindent 2 }}
{{ include "bizbasics-sidecar.securityContext" . }}
lifecycle:
  preStop:
    exec:
      # A native sidecar hears SIGTERM only when the product has ended: the hook drains it before.
      command: [bb-sidecar, drain, --after, {{ int $v.drain.preStopSeconds | quote }}]
startupProbe:
  httpGet: {path: /health, port: bb-admin}
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  httpGet: {path: /health, port: bb-admin}
  periodSeconds: 10
  timeoutSeconds: 3
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /ready, port: bb-admin}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- define "bizbasics-sidecar.securityContext" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{/* What lets a user that is not root listen on a low port, as an item of a pod's security context. */}}
{{- define "bizbasics-sidecar.lowPort" -}}
{{- if lt (int .) 1024 -}}
sysctls:
  - name: net.ipv4.ip_unprivileged_port_start
    value: "0"
{{- end -}}
{{- end -}}

{{/* The volumes of that container. Takes a dict: root, facts (policy, secret), claim. */}}
{{- define "bizbasics-sidecar.volumesBody" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
- name: bb-policy
  configMap:
    name: {{ .facts.policy | quote }}
- name: bb-keys
  secret:
    secretName: {{ .facts.secret | quote }}
    # Read by a user that is not the owner, in the one container that mounts it.
    defaultMode: 0444
    optional: false
    items:
      {{- range compact (list $v.secretKeys.platformKey $v.secretKeys.apiKey $v.secretKeys.webhookSecret) }}
      - key: {{ . | quote }}
        path: {{ . | quote }}
      {{- end }}
- name: bb-no-token
  emptyDir:
    sizeLimit: 1Mi
{{- if $v.journal.enabled }}
- name: bb-journal
  {{- if .claim }}
  persistentVolumeClaim:
    claimName: {{ .claim | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ $v.journal.sizeLimit | quote }}
  {{- end }}
{{- end }}
{{- end -}}
