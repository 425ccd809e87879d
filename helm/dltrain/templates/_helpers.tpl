{{/* The name of the operator's objects: fixed, for one operator serves a namespace, and its master key is found by name. */}}
{{- define "dltrain.name" -}}dltrain-operator{{- end }}

{{/* The name of an object that is in no namespace. Where an operator serves some namespaces only, others may be installed
beside it: the release's namespace tells theirs apart. Takes: root, name. */}}
{{- define "dltrain.clusterName" -}}
{{ .name }}{{ with .root.Values.operator.namespaces }}-{{ $.root.Release.Namespace }}{{ end }}
{{- end }}

{{/* What selects the operator's pods; the same as in manifests/operator.yaml, and never more: selectors cannot change. */}}
{{- define "dltrain.selector" -}}
app.kubernetes.io/name: dltrain
app.kubernetes.io/component: operator
{{- end }}

{{/* The labels of every object, as YAML. Takes: root, component (default: operator). */}}
{{- define "dltrain.labels" -}}
{{- $own := dict
  "app.kubernetes.io/name" "dltrain"
  "app.kubernetes.io/component" (.component | default "operator")
  "app.kubernetes.io/instance" .root.Release.Name
  "app.kubernetes.io/version" .root.Chart.AppVersion
  "app.kubernetes.io/managed-by" .root.Release.Service
  "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- toYaml (merge $own .root.Values.commonLabels) }}
{{- end }}

{{/* Metadata. Takes: root, name, and perhaps namespace ("" for objects that have none), component, labels, annotations. */}}
{{- define "dltrain.metadata" -}}
{{- $labels := merge (dict) (.labels | default dict) (include "dltrain.labels" . | fromYaml) -}}
{{- $annotations := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations -}}
name: {{ .name }}
{{- with (hasKey . "namespace" | ternary .namespace .root.Release.Namespace) }}
namespace: {{ . }}
{{- end }}
labels: {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* An image's full name. Takes: root, image. */}}
{{- define "dltrain.image" -}}
{{- $registry := .image.registry | default .root.Values.global.imageRegistry -}}
{{- $name := not (empty $registry) | ternary (printf "%s/%s" $registry .image.repository) .image.repository -}}
{{- if .image.digest }}{{ $name }}@{{ .image.digest }}{{ else }}{{ $name }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* When the operator's image is pulled, where Kubernetes would do otherwise: it asks for a tag "latest" each time. */}}
{{- define "dltrain.pullPolicy" -}}
{{- if or (ne .Values.image.pullPolicy "IfNotPresent") (eq .Values.image.tag "latest") }}{{ .Values.image.pullPolicy }}{{ end }}
{{- end }}

{{- define "dltrain.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "dltrain.name" .) }}
{{- end }}

{{/* Rules of a NetworkPolicy: names and the Kubernetes API. */}}
{{- define "dltrain.clusterEgress" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
- ports:
    - {protocol: TCP, port: 443}
    - {protocol: TCP, port: 6443}  # policies see the API server's own port, behind that of its Service
  {{- with .Values.networkPolicy.apiServer }}
  to:
    {{- range . }}
    - ipBlock: {cidr: {{ . }}}
    {{- end }}
  {{- end }}
{{- end }}

{{/* Where the job of `helm test` runs. */}}
{{- define "dltrain.testNamespace" -}}
{{ .Values.test.namespace | default (first (append .Values.operator.namespaces .Release.Namespace)) }}
{{- end }}

{{/* Pod Security "restricted". */}}
{{- define "dltrain.podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "dltrain.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
