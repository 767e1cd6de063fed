# From weights to tables: parts measured in parallel, merged, and summed up per layer.


rule analyze:
    input:
        plan=ancient("<model>/plan.json"),
        shard=lambda wildcards: weights_of(wildcards, [part_of(wildcards)["shard"]]),
        companions=lambda wildcards: weights_of(wildcards, companions_of(wildcards)),
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
    threads: 1
    resources:
        **resources_for("analyze"),
        # One GPU if the configuration names one: `--resources gpu=N`, or what a cluster grants.
        gpu=1 if config["device"].startswith("cuda") else 0,
    params:
        args=analyze_flags,
        code=fingerprint("analyze"),
        companions=uncompared(companion_flags),
        # Every device gives the same numbers.
        device=uncompared(lambda wildcards: config["device"]),
        prefix=subpath(output[0], strip_suffix=".params.parquet"),
        program=program("analyze"),
    shell:
        "{params.program} --plan {input.plan:q} --part {wildcards.batch}{wildcards.piece}"
        " --shard {input.shard:q} {params.companions} --out {params.prefix:q} --device {params.device:q}"
        " {params.args} 2> {log:q}"


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
    log:
        "<model>/logs/merge.log",
    benchmark:
        "<model>/benchmarks/merge.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("merge"),
    params:
        code=fingerprint("merge"),
        out_dir=subpath(output.parquet, parent=True),
        program=program("merge"),
    shell:
        "{params.program} --manifest {input.manifest:q} --plan {input.plan:q}"
        " --parts {params.out_dir:q}/parts --out_dir {params.out_dir:q} 2> {log:q}"
