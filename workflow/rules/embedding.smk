# The token embedding and the output layer: clusters, elbow, projection, every token.


rule embedding_analysis:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=lambda wildcards: available(wildcards, embedding_files(wildcards)),
    output:
        clusters="<model>/embedding/clusters.csv",
        clusters_parquet="<model>/embedding/clusters.parquet",
        clusters_summary=report(
            "<model>/embedding/clusters_summary.csv",
            "../report/clusters_summary.rst",
            category="{model}",
            subcategory="embedding",
            labels={"table": "clusters"},
        ),
        summary_parquet="<model>/embedding/clusters_summary.parquet",
        elbow="<model>/embedding/elbow.csv",
        elbow_parquet="<model>/embedding/elbow.parquet",
        projection="<model>/embedding/projection.parquet",
        tokens="<model>/embedding/tokens.csv",
        tokens_parquet="<model>/embedding/tokens.parquet",
        output_tokens="<model>/embedding/output_tokens.csv",
        output_parquet="<model>/embedding/output_tokens.parquet",
        summary="<model>/embedding/summary.json",
    log:
        "<model>/logs/embedding_analysis.log",
    benchmark:
        "<model>/benchmarks/embedding_analysis.tsv"
    # The longest job, which the findings wait for: it starts first, and parts run beside it.
    priority: 1
    conda:
        "../../envs/numeric.yaml"
    threads: lambda wildcards: RUN.threads("embedding_analysis", wildcards.model, workflow.cores)
    resources:
        **resources_for("embedding_analysis"),
        disk_slots=lambda wildcards: slots(wildcards, RUN.token_shards(wildcards.model)),
    params:
        args=lambda wildcards: arguments.embedding_flags(config, manifest_of(wildcards)),
        code=fingerprint("embedding_analysis"),
        device=uncompared(lambda wildcards: config["device"]),
        out_dir=subpath(output.clusters, parent=True),
        program=program("embedding_analysis"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q}"
        " --weights {params.weights:q} --out {params.out_dir:q}"
        " --threads {threads} --device {params.device:q} {params.args} 2> {log:q}"
