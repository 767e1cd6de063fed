# From a model id or a folder to a manifest, a plan, and verified weights on this disk.

import functools

from blockresearch.run import low_disk


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


checkpoint resolve_model:
    input:
        lambda wildcards: RUN.model_files(wildcards.model),
    output:
        # Kept while the job runs: a model that is still the same keeps its manifest.
        manifest=update("<model>/manifest.json"),
        plan="<model>/plan.json",
    log:
        "<model>/logs/resolve_model.log",
    benchmark:
        "<model>/benchmarks/resolve_model.tsv"
    priority: 100
    # First, and beside Snakemake: when a checkpoint ends, a failed job of another model that waits
    # for its second attempt is lost.
    localrule: True
    conda:
        "../../envs/hub.yaml"
    resources:
        **resources_for("resolve_model"),
    params:
        args=resolve_flags,
        code=fingerprint("resolve_model"),
        program=program("resolve_model"),
        space=uncompared(space_flags),
    shell:
        "{params.program} {params.args} {params.space}"
        " --manifest {output.manifest:q} --plan {output.plan:q}"
        " 2> {log:q}"


# `snakemake resolve` looks models up; with `--forcerun resolve_model` it looks again.
rule resolve:
    input:
        collect("<results>/{model}/manifest.json", model=MODELS),


# `snakemake plan` says what each model will take; only file lists and headers are read for it.
rule plan:
    input:
        collect("<results>/{model}/manifest.json", model=MODELS),
    log:
        "<results>/logs/plan.log",
    localrule: True
    conda:
        "../../envs/hub.yaml"
    params:
        program=program("plan"),
    shell:
        "for manifest in {input:q}; do"
        ' {params.program} --manifest "$manifest" 2>> {log:q} || exit 1; done'


# The content is named by the path and verified, so neither a setting nor newer code can change it.
rule download:
    input:
        measured_before,
    output:
        weights_file("<weights>/{key}/{file}"),
    log:
        "<weights>/{key}/logs/{file}.log",
    benchmark:
        "<weights>/{key}/benchmarks/{file}.tsv"
    conda:
        "../../envs/hub.yaml"
    resources:
        **resources_for("download"),
        download=1,
    params:
        # Which of several models that share a file names its address is no matter.
        manifest=uncompared(lambda wildcards: RUN.provider(wildcards.key)),
        program=program("download"),
    shell:
        "{params.program} --manifest {params.manifest:q} --key {wildcards.key}"
        " --out {output:q} 2> {log:q}"
