# From a model id or a folder to a manifest, a plan, and verified weights on this disk.


checkpoint resolve_model:
    input:
        lambda wildcards: RUN.model_files(wildcards.model),
    output:
        # First, because a job that looks something up before there is a plan waits for the first
        # output of a checkpoint: a manifest without a plan would not make this run.
        plan="<model>/plan.json",
        # Kept while the job runs: a model that is still the same keeps its manifest.
        manifest=update("<model>/manifest.json"),
    log:
        "<model>/logs/resolve_model.log",
    benchmark:
        "<model>/benchmarks/resolve_model.tsv"
    priority: 100
    # The client of the hub repeats what may pass, and a second attempt repeats what is final. When a
    # checkpoint ends, Snakemake would also lose a job that waits for its second attempt.
    retries: 0
    # First, and beside Snakemake.
    localrule: True
    conda:
        "../../envs/hub.yaml"
    resources:
        **resources_for("resolve_model"),
    params:
        args=lambda wildcards: arguments.resolve_flags(config, MODELS[wildcards.model]),
        code=fingerprint("resolve_model"),
        program=program("resolve_model"),
        space=uncompared(lambda wildcards: arguments.space_flags(config)),
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
        models=collect("<results>/{model}/manifest.json", model=ANALYZED),
        # Of the training run, which dynamics.smk reads from config.
        steps=lambda wildcards: collect("<results>/{step}/manifest.json", step=STEPS),
    log:
        "<results>/logs/plan.log",
    localrule: True
    conda:
        "../../envs/hub.yaml"
    params:
        pairs=[
            f"{config['results']}/{side.name}/manifest.json"
            for pair in compared(config)
            for side in (pair.other, pair.base)
        ],
        program=program("plan"),
    shell:
        "for manifest in {input.models:q}; do"
        ' {params.program} --manifest "$manifest" 2>> {log:q} || exit 1; done;'
        " set -- {params.pairs:q};"
        ' [ $# -eq 0 ] || {params.program} --compared "$@" 2>> {log:q} || exit 1;'
        " set -- {input.steps:q};"
        ' [ $# -eq 0 ] || {params.program} --steps "$@" 2>> {log:q}'


# The content is named by its hash and verified, so neither a setting nor newer code can change it. A
# mark stands for the file, which may be deleted later: what was made from it stays as it is. If no
# weights are kept the job that reads the file downloads it.
rule download:
    output:
        touch("<results>/downloads/{key}/{file}.ready"),
    log:
        "<results>/downloads/{key}/logs/{file}.log",
    benchmark:
        "<results>/downloads/{key}/benchmarks/{file}.tsv"
    localrule: not config["keep_weights"]
    conda:
        "../../envs/hub.yaml"
    resources:
        **resources_for("download"),
        download=1 if config["keep_weights"] else 0,
    params:
        later=uncompared(lambda wildcards: flags({"later": not config["keep_weights"]})),
        # Which of several models that share a file names its address is no matter.
        manifest=uncompared(lambda wildcards: RUN.provider(wildcards.key)),
        place=uncompared(
            lambda wildcards: f"{config['weights']}/{wildcards.key}/{wildcards.file}"
        ),
        program=program("download"),
    shell:
        "{params.program} --manifest {params.manifest:q} --key {wildcards.key}"
        " --out {params.place:q} {params.later} 2> {log:q}"
