#!/usr/bin/env bash
# Submits a job and prints its id alone: submit.sh OPTIONS OF BSUB… SCRIPT
set -euo pipefail
bsub "$@" | sed -nE 's/^Job <([0-9]+)>.*/\1/p'
