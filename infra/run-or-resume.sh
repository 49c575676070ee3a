#!/usr/bin/env bash
# Starts the run in OUT, or goes on with it where it was begun: for whatever starts a coordinator again and again.
#   run-or-resume.sh CONFIG OUT JOIN_FILE [options of manyhands coordinator]
# The join line holds the run's secret: it goes to JOIN_FILE, which its owner alone can read, and into no log. The rest
# of the coordinator's standard output stays. MANYHANDS says what to call, if it is not in PATH.
set -euo pipefail
if [ $# -lt 3 ]; then
  echo "usage: $0 CONFIG OUT JOIN_FILE [options of manyhands coordinator]" >&2
  exit 2
fi
config=$1 out=$2 join=$3
shift 3
if [ -e "$out/config.yaml" ]; then set -- --resume "$@"; fi

# What an earlier start wrote may be of another address.
rm -f "$join"
exec "${MANYHANDS:-manyhands}" coordinator --config "$config" --out "$out" "$@" > >(
  # A signal to the whole group is for the coordinator, which has its last words to say here.
  trap '' TERM INT HUP
  if IFS= read -r line; then
    url=${line#*\'}
    (umask 077 && printf '%s\n' "${url%\'*}" > "$join.part") && mv "$join.part" "$join"
  fi
  cat
)
