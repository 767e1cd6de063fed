# From a model id or a folder to a manifest, a plan, and verified weights on this disk.


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
