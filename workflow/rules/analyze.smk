# From weights to tables: parts measured in parallel, merged, and summed up per layer.


rule analyze:
    input:
        plan=ancient("<model>/plan.json"),
        shard=part_shard,
        companions=part_companions,
    output:
        "<model>/parts/{part}.params.parquet",
        "<model>/parts/{part}.matrices.parquet",
        "<model>/parts/{part}.spectra.parquet",
        "<model>/parts/{part}.histograms.parquet",
    log:
        "<model>/logs/analyze/{part}.log",
    benchmark:
        "<model>/benchmarks/analyze/{part}.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: 1
    resources:
        **asks(measuring),
        gpu=part_gpus,
    params:
        args=analyze_flags,
        code=fingerprint("analyze"),
        companions=companion_flags,
        device=device,
        prefix=subpath(output[0], strip_suffix=".params.parquet"),
    shell:
        "python -m workflow.scripts.analyze --plan {input.plan:q} --part {wildcards.part}"
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
        **asks(making("merge")),
    params:
        out_dir=subpath(output.parquet, parent=True),
        parts=parts_folder,
        code=fingerprint("merge"),
    shell:
        "python -m workflow.scripts.merge --manifest {input.manifest:q} --plan {input.plan:q}"
        " --parts {params.parts:q} --out_dir {params.out_dir:q} 2> {log:q}"
