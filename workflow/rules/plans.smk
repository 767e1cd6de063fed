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


rule training_plan:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
    output:
        plan="<model>/plans/training_plan.json",
        files=directory("<model>/plans/training"),
    log:
        "<model>/logs/training_plan.log",
    benchmark:
        "<model>/benchmarks/training_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("training_plan"),
    params:
        args=arguments.training_flags(config),
        code=fingerprint("training_plan"),
        program=program("training_plan"),
    shell:
        "{params.program} --manifest {input.manifest:q} --params {input.params:q}"
        " --matrices {input.matrices:q} --out {output.plan:q} --files {output.files:q}"
        " {params.args} 2> {log:q}"


rule sparsity_plan:
    input:
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
    output:
        plan="<model>/plans/sparsity_plan.json",
        files=directory("<model>/plans/sparsity"),
    log:
        "<model>/logs/sparsity_plan.log",
    benchmark:
        "<model>/benchmarks/sparsity_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("sparsity_plan"),
    params:
        args=arguments.sparsity_flags(config),
        code=fingerprint("sparsity_plan"),
        program=program("sparsity_plan"),
    shell:
        "{params.program} --params {input.params:q}"
        " --matrices {input.matrices:q} --out {output.plan:q} --files {output.files:q}"
        " {params.args} 2> {log:q}"


rule suspects_plan:
    input:
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        audit="<model>/audit.json",
    output:
        plan="<model>/plans/suspects_plan.json",
        files=directory("<model>/plans/suspects"),
    log:
        "<model>/logs/suspects_plan.log",
    benchmark:
        "<model>/benchmarks/suspects_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("suspects_plan"),
    params:
        code=fingerprint("suspects_plan"),
        program=program("suspects_plan"),
    shell:
        "{params.program} --params {input.params:q} --audit {input.audit:q}"
        " --matrices {input.matrices:q} --out {output.plan:q} --files {output.files:q}"
        " 2> {log:q}"


# `snakemake plans` makes all plans of all models, and their report.
rule plans:
    input:
        collect(
            "<results>/{model}/plans/{plan}_plan.json",
            model=MODELS,
            plan=["quantization", "training", "sparsity", "suspects"],
        ),
        collect("<results>/{model}/reports/50_plans.html", model=MODELS),
