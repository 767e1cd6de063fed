# From a model id or a folder to a manifest, a plan, and verified weights on this disk.


def resolve_flags(wildcards):
    model = MODELS[wildcards.model]
    return flags(
        {"model": model.source, "revision": model.revision, "weights": config["weights"]}
    )


def manifests(wildcards):
    """All manifests. To force the target means to force the checkpoint behind it, which cannot be
    named as a target because it has a wildcard."""
    if rules.resolve.rule in workflow.dag.forcerules:
        workflow.dag.forcerules.add(rules.resolve_model.rule)
    return collect("<model>/manifest.json", model=MODELS)


checkpoint resolve_model:
    input:
        folder_files,
    output:
        manifest="<model>/manifest.json",
        plan="<model>/plan.json",
    log:
        "<model>/logs/resolve_model.log",
    benchmark:
        "<model>/benchmarks/resolve_model.tsv"
    conda:
        "../../envs/hub.yaml"
    params:
        args=resolve_flags,
        code=fingerprint("resolve_model"),
    shell:
        "python workflow/scripts/resolve_model.py {params.args}"
        " --manifest {output.manifest:q} --plan {output.plan:q} 2> >(tee {log:q} >&2)"


# `snakemake resolve` looks models up; with `--forcerun resolve` it looks again.
rule resolve:
    input:
        manifests,


# The content is named by the path and verified, so neither a setting nor newer code can change it.
rule download:
    output:
        "<weights>/{key}/{file}",
    log:
        "<weights>/{key}/logs/{file}.log",
    benchmark:
        "<weights>/{key}/benchmarks/{file}.tsv"
    conda:
        "../../envs/hub.yaml"
    resources:
        download=1,
    params:
        manifest=provider,
    shell:
        "python workflow/scripts/download.py --manifest {params.manifest:q} --key {wildcards.key}"
        " --out {output:q} 2> >(tee {log:q} >&2)"
