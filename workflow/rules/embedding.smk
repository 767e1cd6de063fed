# The token embedding: clusters, elbow, projection.


def embedding_inputs(wildcards):
    """The shard that holds the token embedding, and the tokenizer, where a model has them."""
    manifest = manifest_of(wildcards)
    tensors = [t["shard"] for t in manifest["tensors"] if t["name"] == manifest["embedding"]]
    tokenizer = [file["path"] for file in manifest["files"] if file["role"] == "tokenizer"]
    return weights_of(wildcards, tensors[:1] + tokenizer)


def embedding_flags(wildcards):
    manifest = manifest_of(wildcards)
    return flags(
        {
            **config["clustering"],
            "digest": dag.embedding_digest(manifest),
        }
    )


rule embedding_analysis:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=embedding_inputs,
    output:
        clusters="<model>/embedding/clusters.csv",
        clusters_summary=report(
            "<model>/embedding/clusters_summary.csv",
            "../report/clusters_summary.rst",
            category="{model}",
            subcategory="embedding",
            labels={"table": "clusters"},
        ),
        elbow="<model>/embedding/elbow.csv",
        projection="<model>/embedding/projection.parquet",
        summary="<model>/embedding/summary.json",
    log:
        "<model>/logs/embedding_analysis.log",
    benchmark:
        "<model>/benchmarks/embedding_analysis.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: 1
    resources:
        mem_mb=embedding_memory,
    params:
        args=embedding_flags,
        code=fingerprint("embedding_analysis", without="workflow.lib.plots"),
        out_dir=subpath(output.clusters, parent=True),
        weights=config["weights"],
    shell:
        "python workflow/scripts/embedding_analysis.py --manifest {input.manifest:q}"
        " --weights {params.weights:q} --out {params.out_dir:q} --tables_only {params.args}"
        " 2> {log:q}"
