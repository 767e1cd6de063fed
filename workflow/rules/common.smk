# Input functions and parameters that the rules share. They read files and change nothing, also in a
# dry run. Python that does not speak of jobs and wildcards belongs into src/blockresearch.
import os
import re

try:
    from blockresearch import results
    from blockresearch.checkpoint import records
    from blockresearch.files import read_json, read_yaml
    from blockresearch.language.catalogue import set_language, spoken
    from blockresearch.project import command, project_file
    from blockresearch.run import arguments, closing, lookup
    from blockresearch.run.config import compared, merged, models
    from blockresearch.run.fingerprint import fingerprint, flags
    from blockresearch.run.validation import ConfigError, checked
except ModuleNotFoundError as error:
    # A WorkflowError would name this line below the sentence.
    raise SystemExit(
        f"{error}: run `make setup` in the folder of AI Block Research, then "
        "`source .venv/bin/activate`, and start again."
    )

set_language(config.get("language", "en"))
try:
    config.update(
        checked(config, read_yaml(project_file("workflow/schemas/config.schema.yaml")))
    )
    RUN = lookup.run_of(config)
except ConfigError as error:
    raise SystemExit(spoken(*error.args))

MODELS, ANALYZED = RUN.models, models(config)
closing.announce(RUN.results, ANALYZED)


wildcard_constraints:
    model="|".join(map(re.escape, MODELS)),
    # A part is SHARD-NUMBER; a batch is ten parts of one shard, one job on a cluster.
    batch=r"\d{5}-\d\d",
    piece=r"\d",
    shard=r"\d{5}",
    notebook="|".join(map(re.escape, results.REPORTS | results.ON_DEMAND)),
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
        def predicted(wildcards, attempt, threads):
            return RUN.needs(rule, wildcards, attempt, threads)[name]

        return predicted

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


def parts_of(wildcards):
    """The entries of the plan for a shard."""
    parts = plan_of(wildcards)["parts"]
    return [part for part in parts if part["part"].startswith(f"{wildcards.shard}-")]


def shards_of(wildcards):
    """All shards that the parts of a shard are read from, its own first."""
    parts = parts_of(wildcards)
    others = [other["shard"] for part in parts for other in part["companions"]]
    return list(dict.fromkeys([parts[0]["shard"], *others]))


def part_tables(wildcards):
    return collect(
        "<model>/parts/{part}.{table}.parquet",
        model=wildcards.model,
        part=[part["part"] for part in plan_of(wildcards)["parts"]],
        table=["params", "matrices", "spectra", "histograms"],
    )


def weights_of(wildcards, files):
    """Paths of files of a model."""
    manifest = manifest_of(wildcards)
    return [records.weight_path(manifest, file, config["weights"]) for file in files]


def available(wildcards, files):
    """What stands for files of a model: marks of downloads, or the files of a local folder.

    Their content is in the parameters, so the age of a file is no matter. A mark is not `ancient`:
    Snakemake would not look at the parameters of jobs behind a mark that is made again.
    """
    if MODELS[wildcards.model].is_folder:
        return [ancient(path) for path in weights_of(wildcards, files)]
    manifest = manifest_of(wildcards)
    keys = {file["path"]: records.file_key(file) for file in manifest["files"]}
    marks = f"{config['results']}/downloads"
    return [f"{marks}/{keys[file]}/{os.path.basename(file)}.ready" for file in files]


def shard_of(wildcards):
    """The mark that the shard of a part is there, or was measured ahead."""
    return f"{config['results']}/{wildcards.model}/shards/{wildcards.batch[:5]}.ready"


def slots(wildcards, shards):
    """The share of `disk_slots` (profiles/default) of a job that may download so many shards."""
    if config["keep_weights"] or MODELS[wildcards.model].is_folder:
        return 0
    return min(1000 * shards // config["shards_on_disk"], 1000)


def embedding_files(wildcards):
    """Shards of the token embedding and the output layer, and the tokenizer, if there are any."""
    manifest = manifest_of(wildcards)
    files = [file["path"] for file in manifest["files"] if file["role"] == "tokenizer"]
    return records.token_shards(manifest) + files
