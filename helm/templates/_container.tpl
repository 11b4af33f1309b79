{{/*
The sidecar's container, shared by the library, the injector, the gateway and authz.
Takes a dict: root (the chart's context), facts (product, secret, upstream, port as strings).
*/}}
{{- define "bizbasics-sidecar.containerBody" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
{{- $facts := .facts -}}
{{- $authz := eq $v.mode "authz" -}}
{{- $grpc := and $authz $v.authz.grpc.enabled -}}
{{- $ports := list (int $v.ports.http) (int $v.ports.product) (int $v.ports.admin) (int $v.ports.metrics) -}}
{{- if ne (len (uniq $ports)) 4 -}}
{{- fail (printf "ports: http, product, admin and metrics are %v: give four numbers that differ" $ports) -}}
{{- end -}}
{{- if $authz -}}
{{- include "bizbasics-sidecar.checkAuthz" $v -}}
{{- end -}}
{{- if and $v.settings.webhookUrl (not $v.secretKeys.webhookSecret) -}}
{{- fail "settings.webhookUrl: every pod would register the URL again: register it once with `bb-sidecar webhooks register`, put the secret into the Secret and its key into secretKeys.webhookSecret" -}}
{{- end -}}
{{- $taken := list "PORT" "PRODUCT_SLUG" "PLATFORM_API_URL" "AUTH_SERVICE_URL" "PLATFORM_INTERNAL_KEY" "BIZBASICS_API_KEY" "APP_SESSION_SECRET" "REDIS_URL" -}}
{{- range $v.extraEnv -}}
{{- if or (hasPrefix "SIDECAR_" .name) (has .name $taken) -}}
{{- fail (printf "extraEnv: %s: the chart has a value of its own for it: see README.md under settings, platform, ports and secretKeys" .name) -}}
{{- end -}}
{{- end -}}
{{- $flags := list "--policy" "--upstream" "--host" "--port" "--http" "--grpc" "--grpc-cert" "--grpc-key" "--grpc-client-ca" "--admin" "--admin-socket" "--metrics" "--platform-url" "--auth-url" "--issuer" "--key-file" "--api-key-file" "--webhook-secret-file" "--product" "--journal" "--redis" "--drain-seconds" -}}
{{- range $v.extraArgs -}}
{{- $flag := regexFind "^[^=]*" . -}}
{{- if has $flag $flags -}}
{{- fail (printf "extraArgs: %s: the chart has a value of its own for it, which the flag would overrule: see README.md under platform, ports, secretKeys, journal, drain" $flag) -}}
{{- end -}}
{{- end -}}
{{- range $v.extraVolumes -}}
{{- if hasPrefix "bb-" .name -}}
{{- fail (printf "extraVolumes: %s: names that begin with bb- are the sidecar's: choose another" .name) -}}
{{- end -}}
{{- end -}}
{{- include "bizbasics-sidecar.checkMemory" $v -}}
name: bb-sidecar
image: {{ include "bizbasics-sidecar.image" .root | quote }}
imagePullPolicy: {{ $v.image.pullPolicy }}
args: {{ concat (list (ternary "authz" "run" $authz)) $v.extraArgs | toJson }}
ports:
  - name: bb-http
    containerPort: {{ int $v.ports.http }}
    protocol: TCP
  {{- if $grpc }}
  - name: bb-grpc
    containerPort: {{ int $v.authz.grpc.port }}
    protocol: TCP
  {{- end }}
  - name: bb-metrics
    containerPort: {{ int $v.ports.metrics }}
    protocol: TCP
env:
  {{- $host := ternary "[::]" $v.listenAddress (eq $v.listenAddress "::") }}
  {{- if $authz }}
  - name: SIDECAR_HTTP
    value: {{ printf "%s:%d" $host (int $v.ports.http) | quote }}
  {{- if $grpc }}
  - name: SIDECAR_GRPC
    value: {{ printf "%s:%d" $host (int $v.authz.grpc.port) | quote }}
  {{- if $v.authz.grpc.tlsSecret }}
  - name: SIDECAR_GRPC_CERT
    value: /etc/bb-sidecar/grpc/tls.crt
  - name: SIDECAR_GRPC_KEY
    value: /etc/bb-sidecar/grpc/tls.key
  {{- if $v.authz.grpc.clientCa }}
  - name: SIDECAR_GRPC_CLIENT_CA
    value: /etc/bb-sidecar/grpc/ca.crt
  {{- end }}
  {{- end }}
  {{- end }}
  {{- else }}
  - name: PORT
    value: {{ $facts.port | quote }}
  - name: SIDECAR_UPSTREAM
    value: {{ $facts.upstream | quote }}
  - name: SIDECAR_HOST
    value: {{ $v.listenAddress | quote }}
  {{- end }}
  - name: PRODUCT_SLUG
    value: {{ $facts.product | quote }}
  - name: SIDECAR_ADMIN
    value: {{ printf "%s:%d" (ternary "[::1]" "127.0.0.1" (eq $v.listenAddress "::")) (int $v.ports.admin) | quote }}
  # In a mesh, calls of other pods also arrive from loopback: only a container with this file may drain.
  - name: SIDECAR_ADMIN_SOCKET
    value: /run/bb-sidecar/admin.sock
  - name: SIDECAR_METRICS
    value: {{ printf "%s:%d" $host (int $v.ports.metrics) | quote }}
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
  {{- if or $v.platform.caSecret $v.platform.caConfigMap }}
  - name: SSL_CERT_FILE
    value: {{ printf "/etc/bb-sidecar/ca/%s" $v.platform.caKey | quote }}
  {{- end }}
  {{- if $v.journal.enabled }}
  - name: SIDECAR_JOURNAL
    value: /var/lib/bb-sidecar/journal
  {{- end }}
  {{- $settings := $v.settings }}
  {{- with $settings.trustedProxies }}
  {{- $settings = set $settings "trustedProxies" (include "bizbasics-sidecar.trustedProxies" .) }}
  {{- end }}
  {{- range $name, $value := $settings }}
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
  # A whole folder and no subPath: with a subPath, changes by the kubelet would not be seen.
  - name: bb-policy
    mountPath: /etc/bb-sidecar/policy
    readOnly: true
  - name: bb-keys
    mountPath: /etc/bb-sidecar/keys
    readOnly: true
  # An empty folder hides the pod's service-account token: it is the product's, not ours.
  - name: bb-no-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  - name: bb-run
    mountPath: /run/bb-sidecar
  {{- if or $v.platform.caSecret $v.platform.caConfigMap }}
  - name: bb-ca
    mountPath: /etc/bb-sidecar/ca
    readOnly: true
  {{- end }}
  {{- if and $grpc $v.authz.grpc.tlsSecret }}
  - name: bb-grpc-tls
    mountPath: /etc/bb-sidecar/grpc
    readOnly: true
  {{- end }}
  {{- if $v.journal.enabled }}
  - name: bb-journal
    mountPath: /var/lib/bb-sidecar
  {{- end }}
  {{- with $v.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
resources:
  {{- toYaml $v.resources | nindent 2 }}
{{ include "bizbasics-sidecar.securityContext" .root }}
lifecycle:
  preStop:
    exec:
      # A native sidecar gets SIGTERM only when the product has ended: the hook drains it before.
      command: [bb-sidecar, drain, --admin-socket, /run/bb-sidecar/admin.sock, --after, {{ int $v.drain.preStopSeconds | quote }}]
{{- range $name, $path := dict "startup" "/health" "liveness" "/health" "readiness" "/ready" }}
{{ $name }}Probe:
  httpGet: {path: {{ $path }}, port: bb-metrics}
  {{- include "bizbasics-sidecar.whole" (get $v.probes $name) | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Refuses what `authz` has no place for. Takes the values. */}}
{{- define "bizbasics-sidecar.checkAuthz" -}}
{{- range list "workers" "upgrades" "via" "webhookUrl" -}}
{{- if hasKey $.settings . -}}
{{- fail (printf "settings.%s: mode authz has no such setting: it is one process that only answers questions" .) -}}
{{- end -}}
{{- end -}}
{{- range list "apiKey" "webhookSecret" -}}
{{- if get $.secretKeys . -}}
{{- fail (printf "secretKeys.%s: mode authz publishes no notices and takes no webhook: leave it empty" .) -}}
{{- end -}}
{{- end -}}
{{- if and .authz.grpc.clientCa (not .authz.grpc.tlsSecret) -}}
{{- fail "authz.grpc.clientCa: clients show certificates over TLS alone: name a Secret in authz.grpc.tlsSecret" -}}
{{- end -}}
{{- $port := int .authz.grpc.port -}}
{{- if and .authz.grpc.enabled (has $port (list (int .ports.http) (int .ports.admin) (int .ports.metrics) (int .authz.service.port))) -}}
{{- fail (printf "authz.grpc.port: %d is taken by another port: choose one of its own" $port) -}}
{{- end -}}
{{- end -}}

{{/*
Refuses a memory limit that is too small for the workers. Takes the values. The same numbers as
sidecar/app/memory_limit.py: 64Mi for each process, and twice the minimum of 8Mi for request bodies.
*/}}
{{- define "bizbasics-sidecar.checkMemory" -}}
{{- $limit := dig "limits" "memory" "" .resources -}}
{{- $limit = kindIs "float64" $limit | ternary (int64 $limit | toString) ($limit | toString) -}}
{{- if $limit -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $number := regexFind "^[0-9]+([.][0-9]+)?" $limit -}}
{{- $unit := trimPrefix $number $limit -}}
{{- $workers := int (.settings.workers | default 1) -}}
{{- $processes := ternary 1 (add $workers 1) (eq $workers 1) -}}
{{- $wanted := add (mul 64 $processes) (mul 16 $workers) -}}
{{- if hasKey $units $unit -}}
{{- if lt (mulf (float64 $number) (float64 (get $units $unit))) (mulf (float64 $wanted) 1048576.0) -}}
{{- fail (printf "resources.limits.memory: %s is too little for settings.workers %d: raise it to %dMi at least, or run fewer workers" $limit $workers $wanted) -}}
{{- end -}}
{{- else if eq $unit "m" -}}
{{- fail (printf "resources.limits.memory: %s is thousandths of a byte: write it like 256Mi" $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bizbasics-sidecar.securityContext" -}}
{{- $v := include "bizbasics-sidecar.values" . | fromJson -}}
securityContext:
  {{- include "bizbasics-sidecar.whole" $v.securityContext | nindent 2 }}
{{- end -}}

{{/*
The security context of the gateway's or injector's pods: with what lets a user that is not root listen
on a low port. Takes a dict: root, port.
*/}}
{{- define "bizbasics-sidecar.podSecurityContext" -}}
{{- $v := include "bizbasics-sidecar.values" .root | fromJson -}}
{{- $context := $v.podSecurityContext -}}
{{- if lt (int .port) 1024 -}}
{{- $low := dict "name" "net.ipv4.ip_unprivileged_port_start" "value" "0" -}}
{{- $_ := set $context "sysctls" (append ($context.sysctls | default list) $low) -}}
{{- end -}}
{{- include "bizbasics-sidecar.whole" $context -}}
{{- end -}}

{{/* A map as YAML, its numbers written whole: JSON has made them fractions, and a million 1e+06. */}}
{{- define "bizbasics-sidecar.whole" -}}
{{- $whole := dict -}}
{{- range $name, $value := . -}}
{{- $_ := set $whole $name (kindIs "float64" $value | ternary (int64 $value) $value) -}}
{{- end -}}
{{- toYaml $whole -}}
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
    # Readable for a user that is not the owner; only one container mounts it.
    defaultMode: 0444
    optional: false
    items:
      {{- range compact (list $v.secretKeys.platformKey $v.secretKeys.apiKey $v.secretKeys.webhookSecret) }}
      - key: {{ . | quote }}
        path: {{ . | quote }}
      {{- end }}
{{- if and $v.platform.caSecret $v.platform.caConfigMap }}
{{- fail "platform: caSecret and caConfigMap are both given: one of them holds the CA" }}
{{- end }}
{{- with $v.platform.caSecret }}
- name: bb-ca
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0444
    items:
      - {key: {{ $v.platform.caKey | quote }}, path: {{ $v.platform.caKey | quote }}}
{{- end }}
{{- with $v.platform.caConfigMap }}
- name: bb-ca
  configMap:
    name: {{ . | quote }}
    items:
      - {key: {{ $v.platform.caKey | quote }}, path: {{ $v.platform.caKey | quote }}}
{{- end }}
{{- if and (eq $v.mode "authz") $v.authz.grpc.enabled $v.authz.grpc.tlsSecret }}
- name: bb-grpc-tls
  secret:
    secretName: {{ $v.authz.grpc.tlsSecret | quote }}
    defaultMode: 0444
{{- end }}
- name: bb-no-token
  emptyDir:
    sizeLimit: 1Mi
- name: bb-run
  emptyDir:
    sizeLimit: 1Mi
{{- /* In mode authz each pod's is of the volumeClaimTemplates. */}}
{{- if and $v.journal.enabled (ne $v.mode "authz") }}
- name: bb-journal
  {{- if .claim }}
  persistentVolumeClaim:
    claimName: {{ .claim | quote }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ $v.journal.sizeLimit | quote }}
  {{- end }}
{{- end }}
{{- with $v.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
