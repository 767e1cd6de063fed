#!/usr/bin/env bash
# Prints running, success or failed for the job with the given name. One that is gone has failed.
ended=$(kubectl get "$1" -o "jsonpath={.status.succeeded}/{.status.failed}" 2>&1)
case "$ended" in
  1/*) echo success ;;
  /1 | *NotFound*) echo failed ;;
  *) echo running ;;
esac
