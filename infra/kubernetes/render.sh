#!/usr/bin/env bash
# The manifests of the chart with its own values, for clusters without Helm: kubectl apply -f manyhands.yaml.
set -euo pipefail
cd "$(dirname "$0")"
echo '# Made by render.sh from ../helm/manyhands; edit that.'
"${HELM:-helm}" template run ../helm/manyhands --set-file config=run.yaml | sed 's/[ \t]*$//'
