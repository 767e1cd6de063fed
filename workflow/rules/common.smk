# Input functions and parameters that the rules share. They read files and change nothing, also in a
# dry run. Python that does not speak of jobs and wildcards belongs into src/blockresearch.
import json
import re

from snakemake.exceptions import WorkflowError

try:
    from blockresearch import results
    from blockresearch.checkpoint import records
    from blockresearch.files import read_json, read_yaml
    from blockresearch.project import command, project_file
    from blockresearch.run import closing, lookup
    from blockresearch.run.config import ConfigError, checked, models
    from blockresearch.run.fingerprint import fingerprint, flags
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"{error}: run `make setup` in the folder of AI Block Research, then "
        "`source .venv/bin/activate`, and start again."
    )

try:
    config.update(
        checked(config, read_yaml(project_file("workflow/schemas/config.schema.yaml")))
    )
    RUN = lookup.Run(config["results"], models(config))
except ConfigError as error:
    raise WorkflowError(str(error))

MODELS = RUN.models
closing.announce(RUN.results, MODELS)


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    # A part is named SHARD-NUMBER. A batch is ten of them in a row, which a cluster measures in one
    # job: so what changes in one shard never moves a part of another one to another batch.
    batch=r"\d{5}-\d\d",
    piece=r"\d",
    notebook="|".join(map(re.escape, results.REPORTS)),
    key="[0-9a-f]{12}",
    file="[^/]+",


def uncompared(function):
    """A parameter, given by a function of wildcards, that is no reason to run a job again.

    Snakemake compares no parameter that depends on `output`.
    """
    return lambda wildcards, output: function(wildcards)


def program(script):
    """How a job calls a script. Where it lies changes no result; its code is a fingerprint."""
    return uncompared(lambda wildcards: command(script))


def resources_for(rule):
    """What a rule's jobs need of a machine, predicted from what is known of the model."""

    def resource(name):
        return lambda wildcards, attempt: RUN.needs(rule, wildcards, attempt)[name]

    names = ("mem_mb", "runtime", "disk_mb", "predicted_s")
    return {name: resource(name) for name in names}


def manifest_of(wildcards):
    """The manifest of a model, once resolve_model has made it."""
    return read_json(
        checkpoints.resolve_model.get(model=wildcards.model).output.manifest
    )


def plan_of(wildcards):
    """The plan of a model, once resolve_model has made it."""
    return read_json(checkpoints.resolve_model.get(model=wildcards.model).output.plan)


def part_of(wildcards):
    """The entry of the plan that a job of analyze measures."""
    plan = checkpoints.resolve_model.get(model=wildcards.model).output.plan
    return lookup.planned_parts(plan)[wildcards.batch + wildcards.piece]


def companions_of(wildcards):
    """Further shards, with companions of the part's tensors."""
    return [other["shard"] for other in part_of(wildcards)["companions"]]


def companion_flags(wildcards):
    names = companions_of(wildcards)
    paths = weights_of(wildcards, names)
    each = [flags({"companion_shard": f"{n}={p}"}) for n, p in zip(names, paths)]
    return " ".join(each)


def part_tables(wildcards):
    return collect(
        "<model>/parts/{part}.{table}.parquet",
        model=wildcards.model,
        part=[part["part"] for part in plan_of(wildcards)["parts"]],
        table=["params", "matrices", "spectra", "histograms"],
    )


def weights_of(wildcards, files):
    """Paths of files of a model. Their content is in the parameters, so their age is no matter."""
    manifest = manifest_of(wildcards)
    return [
        ancient(records.weight_path(manifest, file, config["weights"]))
        for file in files
    ]


def embedding_files(wildcards):
    """Shards of the token embedding and the output layer, and the tokenizer, if there are any."""
    manifest = manifest_of(wildcards)
    files = [file["path"] for file in manifest["files"] if file["role"] == "tokenizer"]
    return records.token_shards(manifest) + files


def resolve_flags(wildcards):
    model = MODELS[wildcards.model]
    return flags(
        {
            "model": model.source,
            "revision": model.revision,
            **model.selection,
            "only_tokens": "tensors" not in config["analyses"],
        }
    )


def space_flags(wildcards):
    at_once = None if config["keep_weights"] else config["shards_on_disk"]
    return flags({"weights": config["weights"], "shards_on_disk": at_once})


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


def embedding_flags(wildcards):
    settings = config["clustering"]
    digest = records.embedding_digest(manifest_of(wildcards))
    words = json.dumps(settings["probe_tokens"])
    return flags({**settings, "probe_tokens": words, "digest": digest})


def report_flags(wildcards):
    """The settings that a report shows."""
    used = {name: config[name] for name in results.REPORTS[wildcards.notebook].settings}
    if config["spectra"] != "sketch":
        used.pop("sketch_above", None)
    return flags({"settings": json.dumps(used) if used else None})
