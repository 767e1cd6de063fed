# From a model id or a folder to a manifest, a plan, and verified weights on this disk.


checkpoint resolve_model:
    input:
        folder_files,
    output:
        # Kept while the job runs: a model that is still the same keeps its manifest.
        manifest=update("<model>/manifest.json"),
        plan="<model>/plan.json",
    log:
        "<model>/logs/resolve_model.log",
    benchmark:
        "<model>/benchmarks/resolve_model.tsv"
    conda:
        "../../envs/hub.yaml"
    resources:
        **asks(resolving),
    params:
        args=resolve_flags,
        code=fingerprint("resolve_model"),
        space=space_flags,
    shell:
        "python -m workflow.scripts.resolve_model {params.args} {params.space}"
        " --manifest {output.manifest:q} --plan {output.plan:q}"
        " 2> {log:q}"


# `snakemake resolve` looks models up; with `--forcerun resolve` it looks again.
rule resolve:
    input:
        manifests,


# `snakemake plan` says what each model will take; only file lists and headers are read for it.
rule plan:
    input:
        manifests,
    log:
        "<results>/logs/plan.log",
    localrule: True
    conda:
        "../../envs/hub.yaml"
    shell:
        "for manifest in {input:q}; do"
        " python -m workflow.scripts.plan --manifest $manifest 2>> {log:q} || exit 1; done"


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
        **asks(downloading),
        download=1,
    params:
        manifest=provider,
    shell:
        "python -m workflow.scripts.download --manifest {params.manifest:q} --key {wildcards.key}"
        " --out {output:q} 2> {log:q}"
