#!/usr/bin/env bash
# Submits a script as a job of one pod and prints its name:
# submit.sh IMAGE CLAIM MOUNT RULE CORES MEGABYTES MINUTES GPUS SCRIPT
# A secret `huggingface` gives the pods its variables (HF_TOKEN), where there is one.
set -euo pipefail
image=$1 claim=$2 mount=$3 rule=${4//_/-} cores=$5 megabytes=$6 minutes=$7 gpus=$8 script=$9
gpu=
if [ "$gpus" -gt 0 ]; then gpu=", \"nvidia.com/gpu\": \"$gpus\""; fi
kubectl create -o name -f - <<EOF
{
  "apiVersion": "batch/v1",
  "kind": "Job",
  "metadata": {"generateName": "$rule-"},
  "spec": {
    "backoffLimit": 0,
    "ttlSecondsAfterFinished": 86400,
    "template": {
      "spec": {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": $((minutes * 60)),
        "volumes": [{"name": "work", "persistentVolumeClaim": {"claimName": "$claim"}}],
        "containers": [
          {
            "name": "job",
            "image": "$image",
            "command": ["/bin/bash", "$script"],
            "workingDir": "$PWD",
            "envFrom": [{"secretRef": {"name": "huggingface", "optional": true}}],
            "volumeMounts": [{"name": "work", "mountPath": "$mount"}],
            "resources": {
              "requests": {"cpu": "$cores", "memory": "${megabytes}Mi"},
              "limits": {"memory": "${megabytes}Mi"$gpu}
            }
          }
        ]
      }
    }
  }
}
EOF
