{{/*
The name of everything: the release's, when it says what it is. It is also the label app.kubernetes.io/name, so that two
releases never select each other's pods.
*/}}
{{- define "postgres-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "postgres-operator.serviceAccountName" -}}
{{- default (include "postgres-operator.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "postgres-operator.podServiceAccountName" -}}
{{- default "postgres-pod" .Values.podServiceAccount.name -}}
{{- end -}}

{{/* The namespace that is served, where the release has rights in one only; empty otherwise. */}}
{{- define "postgres-operator.onlyNamespace" -}}
{{- if .Values.rbac.namespaced -}}
{{- $watched := .Values.configKubernetes.watched_namespace | default "" -}}
{{- if or (eq $watched "") (eq $watched "*") -}}
{{- fail "rbac.namespaced needs configKubernetes.watched_namespace: the one namespace that is served" -}}
{{- end -}}
{{- $watched -}}
{{- end -}}
{{- end -}}

{{/* Labels of a component: (list $ "operator"). */}}
{{- define "postgres-operator.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "postgres-operator.fullname" $root }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* An image: (list $ .Values.webhook.image); what is not said there is the operator's. */}}
{{- define "postgres-operator.image" -}}
{{- $root := index . 0 -}}
{{- $image := mergeOverwrite (deepCopy $root.Values.image) (index . 1) -}}
{{- printf "%s/%s:%s" $image.registry $image.repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}

{{/*
The objects of a file that kustomize applies as they are, under the names of this release: (list $ "files/x.yaml").
deploy/base is written for the name postgres-operator in the namespace postgres-operator; nothing else is replaced.
*/}}
{{- define "postgres-operator.objects" -}}
{{- $root := index . 0 -}}
{{- $full := include "postgres-operator.fullname" $root -}}
{{- $only := include "postgres-operator.onlyNamespace" $root -}}
{{- $text := $root.Files.Get (index . 1) -}}
{{- $text = regexReplaceAll `(namespace|kubernetes.io/metadata.name): postgres-operator\b` $text "${1}: @namespace@" -}}
{{- $text = $text | replace "inject-ca-from: postgres-operator/" "inject-ca-from: @namespace@/" -}}
{{- $text = $text | replace ".postgres-operator.svc" ".@namespace@.svc" | replace "webhook.postgres-operator\n" "webhook.@namespace@\n" -}}
{{- $text = $text | replace "postgres-operator" $full | replace "postgres-pod" (include "postgres-operator.podServiceAccountName" $root) -}}
{{- $text = $text | replace "@namespace@" $root.Release.Namespace -}}
{{- range regexSplit "(?m)^---$" $text -1 -}}
{{- $object := fromYaml . -}}
{{- if and (eq $object.kind "ServiceAccount") (eq $object.metadata.name $full) -}}
{{- $_ := set $object.metadata "name" (include "postgres-operator.serviceAccountName" $root) -}}
{{- end -}}
{{- range $object.subjects -}}
{{- if eq .name $full -}}{{- $_ := set . "name" (include "postgres-operator.serviceAccountName" $root) -}}{{- end -}}
{{- end -}}
{{- if and $only (hasPrefix "ClusterRole" $object.kind) (not (or (hasSuffix "-surroundings" $object.metadata.name) (hasSuffix "-certs" $object.metadata.name))) -}}
{{- $_ := set $object "kind" (trimPrefix "Cluster" $object.kind) -}}
{{- $_ := set $object.metadata "namespace" $only -}}
{{- if $object.roleRef -}}{{- $_ := set $object.roleRef "kind" "Role" -}}{{- end -}}
{{- end -}}
{{- if and $object.rules (not $root.Values.enableStreams) -}}
{{- $rules := list -}}
{{- range $object.rules -}}{{- if not (has "zalando.org" .apiGroups) -}}{{- $rules = append $rules . -}}{{- end -}}{{- end -}}
{{- $_ := set $object "rules" $rules -}}
{{- end -}}
{{- $isOwnAccount := and (eq $object.kind "ServiceAccount") (eq $object.metadata.name (include "postgres-operator.serviceAccountName" $root)) -}}
{{- if not (and $isOwnAccount (not $root.Values.serviceAccount.create)) }}
---
{{ toYaml $object }}
{{ end -}}
{{- end -}}
{{- end -}}

{{/* A variable of both services: where the configuration stands. */}}
{{- define "postgres-operator.source" -}}
- name: {{ ternary "CONFIG_MAP_NAME" "POSTGRES_OPERATOR_CONFIGURATION_OBJECT" (eq .Values.configTarget "ConfigMap") }}
  value: {{ include "postgres-operator.fullname" . }}
{{- end -}}

{{/* Settings as a ConfigMap has them: lists and maps in one line. */}}
{{- define "postgres-operator.flat" -}}
{{- range $key, $value := . }}
{{- if kindIs "slice" $value }}
{{ $key }}: {{ join "," $value | quote }}
{{- else if kindIs "map" $value }}
{{- $items := list }}
{{- range $name, $one := $value }}{{ $items = append $items (printf "%s:%v" $name $one) }}{{ end }}
{{ $key }}: {{ join "," $items | quote }}
{{- else if and (kindIs "float64" $value) (eq (floor $value) $value) }}
{{ $key }}: {{ $value | int64 | quote }}
{{- else }}
{{ $key }}: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Where pods run: affinity, nodeSelector, tolerations, imagePullSecrets, priorityClassName. */}}
{{- define "postgres-operator.placement" -}}
{{- range $key := list "affinity" "nodeSelector" "tolerations" "imagePullSecrets" "priorityClassName" }}
{{- with index $.Values $key }}
{{ toYaml (dict $key .) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Pods of a component apart from one another: (list $ "operator"). */}}
{{- define "postgres-operator.spread" -}}
topologySpreadConstraints:
{{- range $over := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $over }}
    whenUnsatisfiable: ScheduleAnyway
    matchLabelKeys: [pod-template-hash]
    labelSelector:
      matchLabels:
        {{- include "postgres-operator.labels" $ | nindent 8 }}
{{- end }}
{{- end -}}
