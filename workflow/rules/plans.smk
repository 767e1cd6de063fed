# Plans: what to do with a model, as files that other tools execute.


rule quantization_plan:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        sensitivity=branch(
            config["plans"]["quantization"]["sensitivity"] is not None,
            then=config["plans"]["quantization"]["sensitivity"],
        ),
    output:
        plan="<model>/plans/quantization_plan.json",
        files=directory("<model>/plans/quantization"),
    log:
        "<model>/logs/quantization_plan.log",
    benchmark:
        "<model>/benchmarks/quantization_plan.tsv"
    # Wrong settings stay wrong.
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("quantization_plan"),
    params:
        args=arguments.quantization_flags(config),
        code=fingerprint("quantization_plan"),
        program=program("quantization_plan"),
    shell:
        "{params.program} --manifest {input.manifest:q} --params {input.params:q}"
        " --matrices {input.matrices:q} --out {output.plan:q} --files {output.files:q}"
        " {params.args} 2> {log:q}"


# `snakemake plans` makes all plans of all models.
rule plans:
    input:
        collect("<results>/{model}/plans/quantization_plan.json", model=MODELS),
