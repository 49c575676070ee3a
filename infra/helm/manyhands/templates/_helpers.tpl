{{- define "manyhands.name" -}}
{{ printf "%s-manyhands" .Release.Name | trunc 40 | trimSuffix "-" }}
{{- end -}}

{{- define "manyhands.coordinator" -}}
{{ include "manyhands.name" . }}-coordinator
{{- end -}}

{{- define "manyhands.workers" -}}
{{ include "manyhands.name" . }}-workers
{{- end -}}

{{- define "manyhands.joinSecret" -}}
{{ .Values.join.existingSecret | default (printf "%s-join" (include "manyhands.name" .)) }}
{{- end -}}

{{- define "manyhands.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* What selects the pods of one part: (list . "coordinator") */}}
{{- define "manyhands.selector" -}}
app.kubernetes.io/name: manyhands
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "manyhands.labels" -}}
{{ include "manyhands.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
helm.sh/chart: {{ printf "%s-%s" (index . 0).Chart.Name (index . 0).Chart.Version }}
{{- end -}}

{{/*
Of every pod: no account, no rights, a user of its own. OnRootMismatch leaves the modes of files alone once the volume
has its group: the coordinator refuses secrets that a group can read.
*/}}
{{- define "manyhands.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "manyhands.container" -}}
image: {{ include "manyhands.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end -}}

{{- define "manyhands.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A rule of egress: the cluster's own name service. */}}
{{- define "manyhands.dns" -}}
- to:
    - namespaceSelector: {}
      podSelector:
        matchLabels:
          k8s-app: kube-dns
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}
