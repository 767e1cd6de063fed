# Input functions and parameters that the rules share. Python that does not speak of jobs and
# wildcards belongs into src/blockresearch.
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from blockresearch.checkpoint import manifest as manifests_
from blockresearch.files import read_json, read_yaml, require_writable
from blockresearch.project import PACKAGE, project_file
from blockresearch.run import (
    checksums,
    closing,
    lifeline,
    lookup,
    low_disk,
    resources as needs,
)
from blockresearch.run.config import ConfigError, checked, models
from blockresearch.run.fingerprint import fingerprint, flags, use_this_python

use_this_python()
lifeline.take_jobs_along()

try:
    config.update(
        checked(config, read_yaml(project_file("workflow/schemas/config.schema.yaml")))
    )
    MODELS = models(config, workflow.config_settings.config)
except ConfigError as error:
    raise WorkflowError(str(error))

closing.announce(config["results"], MODELS)

ALTERED = {}
if workflow.is_main_process:
    ALTERED = checksums.altered_results(config["results"], MODELS)
    for path in ALTERED:
        print(
            f"{path} has been altered since it was made: made again.", file=sys.stderr
        )


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    part=r"\d{5}-\d{3}",
    key="[0-9a-f]{12}",
    file="[^/]+",


def known(model, name):
    """The path of a file of a model if there is a sound one already.

    For resources, which a dry run asks for before there is a plan, and which cannot be told to come
    back as the input functions of a checkpoint are.
    """
    path = Path(config["results"], model, name)
    if path.exists() and ALTERED.get(path) != checksums.times_of(path):
        return str(path)


def manifest_of(wildcards):
    """The manifest of a model, once resolve_model has made it."""
    return read_json(
        checkpoints.resolve_model.get(model=wildcards.model).output.manifest
    )


def plan_of(wildcards):
    """The plan of a model, once resolve_model has made it."""
    return read_json(
        checkpoints.resolve_model.get(model=wildcards.model).output.plan
    )


def part_of(wildcards):
    """The entry of the plan that a job of analyze measures."""
    plan = checkpoints.resolve_model.get(model=wildcards.model).output.plan
    return lookup.planned_parts(plan)[wildcards.part]


def weights_of(wildcards, files):
    """Paths of files of a model. Their content is in the parameters, so their age is no matter."""
    manifest = manifest_of(wildcards)
    return [
        ancient(manifests_.weight_path(manifest, file, config["weights"])) for file in files
    ]


def weights_file(path):
    """A downloaded file, which goes as soon as nothing reads it any more where config says so."""
    return path if config["keep_weights"] else temp(path)


def measured_before(wildcards):
    """What has to be made before a file may come, so that few shards lie on the disk at once."""
    made = [] if config["keep_weights"] else low_disk_order().get(wildcards.key, [])
    paths = [f"{config['results']}/{path}" for path in made]
    # This is an order and says nothing about the file: that it has changed is no reason to download.
    [file], _ = rules.download.rule.expand_output(dict(wildcards.items()))
    if workflow.persistence.input(file) not in (None, sorted(paths)):
        workflow.persistence.cleanup_metadata(file)
    return list(map(ancient, paths))


@functools.cache
def low_disk_order():
    """What each shard waits for, once all models are looked up: until then Snakemake deletes nothing."""
    jobs = []
    for model in MODELS:
        known = checkpoints.resolve_model.get(model=model).output
        jobs += low_disk.readers(
            model, read_json(known.manifest), read_json(known.plan)
        )
    try:
        return low_disk.waits(jobs, config["shards_on_disk"])
    except ValueError as error:
        raise WorkflowError(str(error))


def folder_files(wildcards):
    """The files that the manifest of a local folder is made from; none for a hub model.

    Everything follows from this, so here Snakemake is told which results are altered.
    """
    workflow.dag.forcefiles.update(map(str, ALTERED))
    model = MODELS[wildcards.model]
    return lookup.model_files(model.source, model.subfolder) if model.is_folder else []


def provider(wildcards, output):
    """A manifest that knows where to download a file from.

    Takes `output` so that Snakemake does not compare it: which of several models that share a file
    names its address is no reason to download the file again.
    """
    return lookup.provider(wildcards.key, manifest_paths())


def manifest_paths():
    """Manifests of the models that have one already."""
    return filter(None, (known(model, "manifest.json") for model in MODELS))


def asks(predict):
    """The resources of a rule whose needs are `predict(wildcards, attempt)`."""

    def resource(name):
        return lambda wildcards, attempt: predict(wildcards, attempt)[name]

    names = ("mem_mb", "runtime", "disk_mb", "predicted_s")
    return {name: resource(name) for name in names}


def resolving(wildcards, attempt):
    return needs.to_resolve(folder_files(wildcards), attempt)


def downloading(wildcards, attempt):
    size = lookup.size_of(wildcards.key, manifest_paths())
    return needs.to_download(size, attempt)


def measuring(wildcards, attempt):
    plan = known(wildcards.model, "plan.json")
    part = lookup.planned_parts(plan).get(wildcards.part) if plan else None
    return needs.to_measure(part, attempt)


def size_of(wildcards):
    """How large a model is, as far as that is known."""
    names = ("manifest.json", "plan.json")
    return needs.size_of(*(known(wildcards.model, name) for name in names))


def making(job):
    """The needs of a job that reads the tables of a model."""
    return lambda wildcards, attempt: needs.to_make(job, size_of(wildcards), attempt)


def clustering_tokens(wildcards, attempt):
    return needs.to_cluster(size_of(wildcards), attempt)


def listing(wildcards, attempt):
    return needs.to_list(len(MODELS), attempt)


def weights_root(wildcards, output):
    # Takes `output` so that Snakemake does not compare it: where weights lie changes no result.
    return config["weights"]


def space_flags(wildcards, output):
    # Takes `output` so that Snakemake does not compare it, as above.
    at_once = None if config["keep_weights"] else config["shards_on_disk"]
    return flags({"weights": config["weights"], "shards_on_disk": at_once})


def resolve_flags(wildcards):
    model = MODELS[wildcards.model]
    return flags(
        {
            "model": model.source,
            "revision": model.revision,
            "subfolder": model.subfolder or None,
            "variant": model.variant,
            "only_tokens": "tensors" not in config["analyses"],
        }
    )


def manifests(wildcards):
    """All manifests. To force the target means to force the checkpoint behind it, which cannot be
    named as a target because it has a wildcard."""
    target, behind = rules.resolve.rule, rules.resolve_model.rule
    if target in workflow.dag.forcerules:
        workflow.dag.forcerules.add(behind)
    return collect("<results>/{model}/manifest.json", model=MODELS)


def part_shard(wildcards):
    return weights_of(wildcards, [part_of(wildcards)["shard"]])


def part_companions(wildcards):
    """Further shards, with companions of the part's tensors."""
    return weights_of(
        wildcards, [other["shard"] for other in part_of(wildcards)["companions"]]
    )


def companion_flags(wildcards, input):
    """Which of these files is which shard. Takes `input`, so that Snakemake does not compare it:
    the digest has their content."""
    names = [other["shard"] for other in part_of(wildcards)["companions"]]
    return " ".join(
        flags({"companion_shard": f"{name}={path}"})
        for name, path in zip(names, input.companions)
    )


def analyze_flags(wildcards):
    sketches = config["spectra"] == "sketch"
    return flags(
        {
            "digest": part_of(wildcards)["digest"],
            "sparsity_threshold": config["sparsity_threshold"],
            "spectra": config["spectra"],
            "sketch_above": config["sketch_above"] if sketches else None,
        }
    )


def measurement_settings(wildcards):
    """The settings that the measurements depend on, for the report that shows them."""
    names = ["sparsity_threshold", "spectra"]
    if config["spectra"] == "sketch":
        names.append("sketch_above")
    return json.dumps({name: config[name] for name in names})


def device(wildcards, threads):
    # Takes `threads` so that Snakemake does not compare it: every device gives the same numbers.
    return config["device"]


# Those that were without a plan at the last look: asking for all of a thousand models, once for each
# of them, would be a million questions.
WITHOUT_PLAN = list(MODELS)


def require_plans_before_groups():
    """Snakemake loses its groups of jobs when a checkpoint ends while some of them run."""
    grouped = workflow.is_main_process and workflow.group_settings.overwrite_groups
    if not grouped or workflow.dryrun:
        return
    WITHOUT_PLAN[:] = lookup.without_plan(config["results"], WITHOUT_PLAN)
    if WITHOUT_PLAN:
        raise WorkflowError(
            f"{len(WITHOUT_PLAN)} of {len(MODELS)} models are not looked up yet, which has to come before "
            "jobs are grouped: run the same command with `-- resolve` at its end first."
        )


def part_gpus(wildcards):
    """One GPU where the config names one: `--resources gpu=N`, or what a cluster grants."""
    return 1 if config["device"].startswith("cuda") else 0


def part_tables(wildcards):
    require_plans_before_groups()
    return collect(
        "<model>/parts/{part}.{table}.parquet",
        model=wildcards.model,
        part=[part["part"] for part in plan_of(wildcards)["parts"]],
        table=["params", "matrices", "spectra", "histograms"],
    )


def parts_folder(wildcards, input):
    return os.path.dirname(input.parts[0])


def embedding_inputs(wildcards):
    """Shards of the token embedding and the output layer, and the tokenizer, where there are."""
    manifest = manifest_of(wildcards)
    shards = manifests_.token_shards(plan_of(wildcards), manifest)
    tokenizer = [
        file["path"] for file in manifest["files"] if file["role"] == "tokenizer"
    ]
    return weights_of(wildcards, shards + tokenizer)


def embedding_flags(wildcards):
    manifest = manifest_of(wildcards)
    settings = config["clustering"]
    return flags(
        {
            **settings,
            "probe_tokens": json.dumps(settings["probe_tokens"]),
            "digest": manifests_.embedding_digest(plan_of(wildcards), manifest),
        }
    )


def verdict():
    """The file that stands for passed audits, where config asks for a verdict."""
    return ["<results>/verdict.txt"] if config["audit"]["fail_on"] else []


def begin():
    try:
        require_writable(config["results"])
    except ValueError as error:
        raise WorkflowError(str(error))


def end():
    checksums.record_results(config["results"], MODELS, ALTERED)


def end_after_failure():
    """Show the models that are done all the same, beside those that are not."""
    unknown = [
        model
        for model in MODELS
        if not Path(config["results"], model, "manifest.json").exists()
    ]
    try:
        shell(
            "mkdir -p {config[results]:q}/logs;"
            " python -m workflow.scripts.portal --results {config[results]:q}"
            " --weights {config[weights]:q} --also {unknown:q}"
            " --html {config[results]:q}/index.html --json {config[results]:q}/index.json"
            " 2> {config[results]:q}/logs/portal.log"
        )
        checksums.record_results(config["results"], MODELS, ALTERED)
    except (OSError, subprocess.CalledProcessError):
        print("The page of all models could not be made.", file=sys.stderr)
