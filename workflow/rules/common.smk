# Input functions and parameters that the rules share. Python that does not speak of jobs and
# wildcards belongs into workflow/lib.
import math
import os
import re

from snakemake.exceptions import WorkflowError

from workflow.lib import dag
from workflow.lib.config import ConfigError, checked, models
from workflow.lib.dag import fingerprint, flags

dag.use_this_python()

try:
    config.update(checked(config, dag.read_yaml("workflow/schemas/config.schema.yaml")))
    MODELS = models(config, workflow.config_settings.config)
except ConfigError as error:
    raise WorkflowError(str(error))


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    part=r"\d{5}-\d{3}",
    key="[0-9a-f]{12}",
    file="[^/]+",


def manifest_of(wildcards):
    """The manifest of a model, once resolve_model has made it."""
    return dag.read_json(checkpoints.resolve_model.get(model=wildcards.model).output.manifest)


def plan_of(wildcards):
    """The plan of a model, once resolve_model has made it."""
    return dag.read_json(checkpoints.resolve_model.get(model=wildcards.model).output.plan)


def part_of(wildcards):
    """The entry of the plan that a job of analyze measures."""
    return next(part for part in plan_of(wildcards)["parts"] if part["part"] == wildcards.part)


def weights_of(wildcards, files):
    """Paths of files of a model. Their content is in the parameters, so their age is no matter."""
    manifest = manifest_of(wildcards)
    return [ancient(dag.weight_path(manifest, file, config["weights"])) for file in files]


def folder_files(wildcards):
    """The files that the manifest of a local folder is made from; none for a hub model."""
    model = MODELS[wildcards.model]
    return dag.model_files(model.source) if model.is_folder else []


def provider(wildcards, output):
    """A manifest that knows where to download a file from.

    Takes `output` so that Snakemake does not compare it: which of several models that share a file
    names its address is no reason to download the file again.
    """
    for model in MODELS:
        manifest = checkpoints.resolve_model.get(model=model).output.manifest
        files = dag.read_json(manifest)["files"]
        if any(dag.content_key(file) == wildcards.key for file in files):
            return manifest


def embedding_memory(wildcards, attempt):
    """Megabytes for clustering: the embedding in float32 a few times over."""
    manifest = manifest_of(wildcards)
    elements = [
        math.prod(tensor["shape"])
        for tensor in manifest["tensors"]
        if tensor["name"] == manifest["embedding"]
    ]
    return attempt * (1000 + sum(elements) * 16 // 1024**2)
