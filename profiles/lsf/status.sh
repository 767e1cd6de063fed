#!/usr/bin/env bash
# Prints running, success or failed for the job with the given id.
case "$(bjobs -noheader -o stat "$1" 2>/dev/null)" in
  DONE) echo success ;;
  EXIT | ZOMBI) echo failed ;;
  *) echo running ;;
esac
