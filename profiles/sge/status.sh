#!/usr/bin/env bash
# Prints running, success or failed for the job with the given id. A job that has left the queue
# appears in the accounting a moment later.
if qstat -j "$1" >/dev/null 2>&1; then
  echo running
  exit
fi
accounted=$(qacct -j "$1" 2>/dev/null) || { echo running; exit; }
if grep -qE '^exit_status +0\b' <<<"$accounted" && grep -qE '^failed +0\b' <<<"$accounted"; then
  echo success
else
  echo failed
fi
