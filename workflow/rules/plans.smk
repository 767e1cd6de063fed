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


# Experts are dropped on request, because their tables are made from the weights.
HAS_EXPERTS = config["plans"]["experts"]["share"] is not None


rule experts_plan:
    input:
        manifest="<model>/manifest.json",
        experts="<model>/circuits/experts.parquet",
        pairs="<model>/circuits/expert_pairs.parquet",
    output:
        plan="<model>/plans/experts_plan.json",
        files=directory("<model>/plans/experts"),
    log:
        "<model>/logs/experts_plan.log",
    benchmark:
        "<model>/benchmarks/experts_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("experts_plan"),
    params:
        args=arguments.experts_flags(config),
        code=fingerprint("experts_plan"),
        program=program("experts_plan"),
    shell:
        "{params.program} --manifest {input.manifest:q} --experts {input.experts:q}"
        " --expert_pairs {input.pairs:q} --out {output.plan:q} --files {output.files:q}"
        " {params.args} 2> {log:q}"


# Only the factors are computed from the weights.
HAS_FACTORS = config["plans"]["adapter"]["factors"] is not None


rule adapter_plan:
    input:
        pairs="<results>/compare/{other}-vs-{base}/pairs.parquet",
        differences="<results>/compare/{other}-vs-{base}/differences.parquet",
        base="<results>/{base}/manifest.json",
        other="<results>/{other}/manifest.json",
        files=branch(
            HAS_FACTORS,
            then=lambda wildcards: [
                path
                for side in lookup.sides(wildcards)
                for path in available(
                    side, lookup.files_of(manifest_of(side), "shard")
                )
            ],
        ),
    output:
        plan="<results>/compare/{other}-vs-{base}/plans/adapter_plan.json",
        files=directory("<results>/compare/{other}-vs-{base}/plans/adapter"),
    log:
        "<results>/compare/{other}-vs-{base}/logs/adapter_plan.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/adapter_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    threads: max(workflow.cores or 1, 1) if HAS_FACTORS else 1
    resources:
        **resources_for("adapter_factors" if HAS_FACTORS else "adapter_plan"),
        disk_slots=lambda wildcards: (
            lookup.together(slots(side, 1) for side in lookup.sides(wildcards))
            if HAS_FACTORS
            else 0
        ),
    params:
        args=arguments.adapter_flags(config),
        code=fingerprint("adapter_plan"),
        program=program("adapter_plan"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --pairs {input.pairs:q} --differences {input.differences:q}"
        " --base_manifest {input.base:q} --other_manifest {input.other:q}"
        " --weights {params.weights:q} --out {output.plan:q} --files {output.files:q}"
        " {params.args} 2> {log:q}"


rule repair_plan:
    input:
        pairs="<results>/compare/{other}-vs-{base}/pairs.parquet",
        differences="<results>/compare/{other}-vs-{base}/differences.parquet",
    output:
        plan="<results>/compare/{other}-vs-{base}/plans/repair_plan.json",
        files=directory("<results>/compare/{other}-vs-{base}/plans/repair"),
    log:
        "<results>/compare/{other}-vs-{base}/logs/repair_plan.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/repair_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("repair_plan"),
    params:
        code=fingerprint("repair_plan"),
        program=program("repair_plan"),
    shell:
        "{params.program} --pairs {input.pairs:q} --differences {input.differences:q}"
        " --out {output.plan:q} --files {output.files:q} 2> {log:q}"


rule repaired_model:
    input:
        pairs="<results>/compare/{other}-vs-{base}/pairs.parquet",
        differences="<results>/compare/{other}-vs-{base}/differences.parquet",
        base="<results>/{base}/manifest.json",
        other="<results>/{other}/manifest.json",
        files=lambda wildcards: [
            path
            for side in lookup.sides(wildcards)
            for path in available(side, lookup.files_of(manifest_of(side), "shard"))
        ],
    output:
        json="<results>/compare/{other}-vs-{base}/plans/repaired_model.json",
        model=directory("<results>/compare/{other}-vs-{base}/plans/repaired"),
    log:
        "<results>/compare/{other}-vs-{base}/logs/repaired_model.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/repaired_model.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("repaired_model"),
        disk_slots=lambda wildcards: lookup.together(
            slots(side, 1) for side in lookup.sides(wildcards)
        ),
    params:
        code=fingerprint("repaired_model"),
        program=program("repaired_model"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --pairs {input.pairs:q} --differences {input.differences:q}"
        " --base_manifest {input.base:q} --other_manifest {input.other:q}"
        " --weights {params.weights:q} --out {output.json:q} --model {output.model:q}"
        " 2> {log:q}"


# Fine-tunes by their base, if it has several.
MERGES = merged(config)


rule merge_plan:
    input:
        base="<results>/{base}/manifest.json",
        others=lambda wildcards: collect(
            "<results>/{other}/manifest.json", other=MERGES[wildcards.base]
        ),
        tables=lambda wildcards: collect(
            "<results>/compare/{other}-vs-{base}/{table}.parquet",
            other=MERGES[wildcards.base],
            base=wildcards.base,
            table=["pairs", "differences"],
        ),
        files=lambda wildcards: [
            path
            for model in [wildcards.base, *MERGES[wildcards.base]]
            for path in available(
                lookup.Side(model),
                lookup.files_of(manifest_of(lookup.Side(model)), "shard"),
            )
        ],
    output:
        plan="<results>/{base}/plans/merge_plan.json",
        files=directory("<results>/{base}/plans/merge"),
    log:
        "<results>/{base}/logs/merge_plan.log",
    benchmark:
        "<results>/{base}/benchmarks/merge_plan.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("merge_plan"),
        disk_slots=lambda wildcards: lookup.together(
            slots(lookup.Side(model), 1)
            for model in [wildcards.base, *MERGES[wildcards.base]]
        ),
    params:
        code=fingerprint("merge_plan"),
        comparisons=lambda wildcards: [
            f"{config['results']}/compare/{other}-vs-{wildcards.base}"
            for other in MERGES[wildcards.base]
        ],
        program=program("merge_plan"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --base_manifest {input.base:q} --other_manifests {input.others:q}"
        " --comparisons {params.comparisons:q} --weights {params.weights:q}"
        " --out {output.plan:q} --files {output.files:q} 2> {log:q}"


# `snakemake plans` makes all plans of all models and comparisons, and their report.
rule plans:
    input:
        collect(
            "<results>/compare/{pair}/plans/{plan}_plan.json",
            pair=COMPARISONS,
            plan=["adapter", "repair"],
        ),
        branch(
            config["plans"]["repair"]["write"],
            then=collect(
                "<results>/compare/{pair}/plans/repaired_model.json", pair=COMPARISONS
            ),
        ),
        collect("<results>/{base}/plans/merge_plan.json", base=MERGES),
        collect(
            "<results>/{model}/plans/{plan}_plan.json",
            model=MODELS,
            plan=["quantization", "training", "sparsity", "suspects"],
        ),
        branch(
            HAS_EXPERTS,
            then=collect("<results>/{model}/plans/experts_plan.json", model=MODELS),
        ),
        collect("<results>/{model}/reports/50_plans.html", model=MODELS),
