# From weights to tables: parts measured in parallel, merged, and summed up per layer.


# Weights that are kept are read where they lie. Others are measured in this job, which downloads a
# shard and deletes it. On a GPU it measures in any case: one process for all parts of a shard,
# because torch takes seconds to start. Analyze then takes the tables. Inputs and compared parameters
# are the same in all cases, so a switch of keep_weights or of the device measures nothing again.
rule measure_shard:
    input:
        manifest=ancient("<model>/manifest.json"),
        plan=ancient("<model>/plan.json"),
        files=lambda wildcards: available(wildcards, shards_of(wildcards)),
    output:
        touch("<model>/shards/{shard}.ready"),
    log:
        "<model>/logs/measure_shard/{shard}.log",
    benchmark:
        "<model>/benchmarks/measure_shard/{shard}.tsv"
    # Only looks whether the shard is there, then.
    localrule: config["keep_weights"] and not RUN.on_gpu
    conda:
        "../../envs/numeric.yaml"
    threads: lambda wildcards: RUN.threads("measure_shard", wildcards.model, workflow.cores)
    resources:
        **resources_for("measure_shard"),
        disk_slots=lambda wildcards: slots(wildcards, 1),
        # One GPU if there may be one: `--resources gpu=N`, or what a cluster grants.
        gpu=1 if RUN.on_gpu else 0,
    params:
        args=arguments.measure_flags(config),
        code=fingerprint("measure_shard"),
        device=uncompared(lambda wildcards: config["device"]),
        digests=lambda wildcards: [part["digest"] for part in parts_of(wildcards)],
        file=uncompared(
            lambda wildcards: weights_of(wildcards, shards_of(wildcards))[0]
        ),
        mode=uncompared(
            lambda wildcards: flags(
                {"keep": config["keep_weights"], "ahead": RUN.on_gpu}
            )
        ),
        model_dir=subpath(input.plan, parent=True),
        program=program("measure_shard"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --plan {input.plan:q}"
        " --shard {wildcards.shard} --file {params.file:q} {params.mode}"
        " --weights {params.weights:q} --staged {params.model_dir:q}/staged"
        " --threads {threads} --device {params.device:q}"
        " --code {params.code:q} {params.args} 2> {log:q}"


rule analyze:
    input:
        manifest=ancient("<model>/manifest.json"),
        plan=ancient("<model>/plan.json"),
        shard=shard_of,
    output:
        "<model>/parts/{batch}{piece}.params.parquet",
        "<model>/parts/{batch}{piece}.matrices.parquet",
        "<model>/parts/{batch}{piece}.spectra.parquet",
        "<model>/parts/{batch}{piece}.histograms.parquet",
    log:
        "<model>/logs/analyze/{batch}{piece}.log",
    benchmark:
        "<model>/benchmarks/analyze/{batch}{piece}.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: lambda wildcards: RUN.threads("analyze", wildcards.model, workflow.cores)
    resources:
        **resources_for("analyze"),
        # It downloads its shard again if tables that were measured ahead are gone.
        disk_slots=lambda wildcards: slots(wildcards, 1),
    params:
        args=lambda wildcards: arguments.part_flags(config, part_of(wildcards)),
        code=fingerprint("analyze"),
        companions=uncompared(
            lambda wildcards: arguments.companion_flags(
                part_of(wildcards), manifest_of(wildcards), config["weights"]
            )
        ),
        # Every device gives the same numbers. If tables that were measured ahead are gone, this job
        # takes a GPU only if it finds one, because it requests none.
        device=uncompared(lambda wildcards: "auto" if RUN.on_gpu else config["device"]),
        measured_by=fingerprint("measure_shard"),
        model_dir=subpath(input.plan, parent=True),
        prefix=subpath(output[0], strip_suffix=".params.parquet"),
        program=program("analyze"),
        shard=uncompared(
            lambda wildcards: weights_of(wildcards, [part_of(wildcards)["shard"]])[0]
        ),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --plan {input.plan:q} --part {wildcards.batch}{wildcards.piece}"
        " --shard {params.shard:q} {params.companions}"
        " --staged {params.model_dir:q}/staged --code {params.measured_by:q}"
        " --manifest {input.manifest:q} --weights {params.weights:q}"
        " --out {params.prefix:q} --threads {threads}"
        " --device {params.device:q} {params.args} 2> {log:q}"


rule merge:
    input:
        parts=part_tables,
        manifest="<model>/manifest.json",
        plan="<model>/plan.json",
    output:
        csv=report(
            "<model>/params.csv",
            "../report/params.rst",
            category="{model}",
            subcategory="tables",
            labels={"table": "params"},
        ),
        json="<model>/params.json",
        parquet="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        spectra="<model>/spectra.parquet",
        histograms="<model>/histograms.parquet",
        coverage=report(
            "<model>/coverage.csv",
            "../report/coverage.rst",
            category="{model}",
            subcategory="tables",
            labels={"table": "coverage"},
        ),
        coverage_parquet="<model>/coverage.parquet",
    log:
        "<model>/logs/merge.log",
    benchmark:
        "<model>/benchmarks/merge.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("merge"),
    params:
        args=arguments.recorded_flags(config),
        code=fingerprint("merge"),
        out_dir=subpath(output.parquet, parent=True),
        program=program("merge"),
    shell:
        "{params.program} --manifest {input.manifest:q} --plan {input.plan:q}"
        " --parts {params.out_dir:q}/parts --out_dir {params.out_dir:q}"
        " {params.args} 2> {log:q}"
