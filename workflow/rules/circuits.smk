# The attention heads of a model, if `analyses` of config has circuits.


rule circuits:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=lambda wildcards: available(
            wildcards, records.circuit_shards(manifest_of(wildcards))
        ),
    output:
        heads="<model>/circuits/attention_heads.csv",
        heads_parquet="<model>/circuits/attention_heads.parquet",
        graph="<model>/circuits/head_graph.csv",
        graph_parquet="<model>/circuits/head_graph.parquet",
    log:
        "<model>/logs/circuits.log",
    benchmark:
        "<model>/benchmarks/circuits.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: min(workflow.cores or 1, 4)
    resources:
        **resources_for("circuits"),
        # It needs all shards with attention at once.
        disk_slots=lambda wildcards: slots(wildcards, config["shards_on_disk"]),
    params:
        args=lambda wildcards: arguments.circuit_flags(manifest_of(wildcards)),
        code=fingerprint("circuits"),
        out_dir=subpath(output.heads, parent=True),
        program=program("circuits"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q}"
        " --weights {params.weights:q} --out {params.out_dir:q}"
        " --threads {threads} {params.args} 2> {log:q}"


rule outliers:
    input:
        "<model>/matrices.parquet",
    output:
        csv="<model>/circuits/outliers.csv",
        parquet="<model>/circuits/outliers.parquet",
    log:
        "<model>/logs/outliers.log",
    benchmark:
        "<model>/benchmarks/outliers.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("outliers"),
    params:
        code=fingerprint("outliers"),
        program=program("outliers"),
        out=lambda wildcards, output: os.path.splitext(output.csv)[0],
    shell:
        "{params.program} --matrices {input:q} --out {params.out:q} 2> {log:q}"


rule heavy_tails:
    input:
        manifest=ancient("<model>/manifest.json"),
        spectra="<model>/spectra.parquet",
        files=lambda wildcards: available(
            wildcards, records.layer_shards(manifest_of(wildcards))
        ),
    output:
        csv="<model>/circuits/heavy_tails.csv",
        parquet="<model>/circuits/heavy_tails.parquet",
    log:
        "<model>/logs/heavy_tails.log",
    benchmark:
        "<model>/benchmarks/heavy_tails.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("heavy_tails"),
        # It needs all shards with layers at once.
        disk_slots=lambda wildcards: slots(wildcards, config["shards_on_disk"]),
    params:
        args=lambda wildcards: arguments.tail_flags(manifest_of(wildcards)),
        code=fingerprint("heavy_tails"),
        program=program("heavy_tails"),
        out=lambda wildcards, output: os.path.splitext(output.csv)[0],
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --spectra {input.spectra:q}"
        " --weights {params.weights:q} --out {params.out:q} {params.args} 2> {log:q}"


rule experts:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=lambda wildcards: available(
            wildcards, records.expert_shards(manifest_of(wildcards))
        ),
    output:
        experts="<model>/circuits/experts.csv",
        experts_parquet="<model>/circuits/experts.parquet",
        pairs="<model>/circuits/expert_pairs.csv",
        pairs_parquet="<model>/circuits/expert_pairs.parquet",
    log:
        "<model>/logs/experts.log",
    benchmark:
        "<model>/benchmarks/experts.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("experts"),
        # It needs all shards with experts at once.
        disk_slots=lambda wildcards: slots(wildcards, config["shards_on_disk"]),
    params:
        args=lambda wildcards: arguments.expert_flags(manifest_of(wildcards)),
        code=fingerprint("experts"),
        out_dir=subpath(output.experts, parent=True),
        program=program("experts"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q}"
        " --weights {params.weights:q} --out {params.out_dir:q}"
        " {params.args} 2> {log:q}"


rule directions:
    input:
        manifest=ancient("<model>/manifest.json"),
        tokens="<model>/embedding/tokens.parquet",
        output_tokens="<model>/embedding/output_tokens.parquet",
        files=lambda wildcards: available(
            wildcards, records.direction_shards(manifest_of(wildcards))
        ),
    output:
        csv="<model>/circuits/directions.csv",
        parquet="<model>/circuits/directions.parquet",
    log:
        "<model>/logs/directions.log",
    benchmark:
        "<model>/benchmarks/directions.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: min(workflow.cores or 1, 4)
    resources:
        **resources_for("directions"),
        # It needs all shards with attention, MLPs and tokens at once.
        disk_slots=lambda wildcards: slots(wildcards, config["shards_on_disk"]),
    params:
        args=lambda wildcards: arguments.direction_flags(manifest_of(wildcards)),
        code=fingerprint("directions"),
        out=lambda wildcards, output: os.path.splitext(output.csv)[0],
        program=program("directions"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --tokens {input.tokens:q}"
        " --output_tokens {input.output_tokens:q} --weights {params.weights:q}"
        " --out {params.out:q} --threads {threads} {params.args} 2> {log:q}"
