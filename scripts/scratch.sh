#!/usr/bin/env bash
# Prints where tests put their trees: TMPDIR if that is set, else memory where there are 8 GiB of it, else /tmp.
# A disk that syncs for each of a thousand small trees makes the tests take twice as long and finds nothing more: what
# needs a disk's file system mounts one of its own.
set -euo pipefail

memory=/dev/shm
room_kib=$(df --output=avail "$memory" 2>/dev/null | tail -1 || true)
if [[ -n ${TMPDIR:-} ]]; then
  echo "$TMPDIR"
elif [[ -w $memory ]] && ((${room_kib:-0} >= 8 << 20)); then
  echo "$memory"
else
  echo /tmp
fi
