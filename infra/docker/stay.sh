#!/usr/bin/env bash
# Runs a command where a restart policy knows only "always" (a StatefulSet): after an end that a restart would not
# change, 0 (done) and 2 (a config that a person has to mend), it stays until it is told to go. Every other status it
# hands on, so that the run goes on from its newest checkpoint.
set -uo pipefail
ended=${TMPDIR:-/tmp}/manyhands-ended
rm -f "$ended"
told=0
"$@" &
child=$!
trap 'told=1; kill -TERM "$child" 2>/dev/null' TERM INT
wait "$child"
status=$?
if [ "$told" -eq 1 ]; then
  # The signal woke `wait`; the command is still saving.
  wait "$child"
  exit $?
fi
case $status in
  0 | 2) ;;
  *) exit "$status" ;;
esac
touch "$ended"
echo "ended with status $status; staying" >&2
while [ "$told" -eq 0 ]; do
  sleep 5 &
  child=$!
  wait "$child"
done
exit 0
