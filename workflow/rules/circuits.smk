# The attention heads of a model, if `analyses` of config has circuits.


wildcard_constraints:
    # Layers that one job measures.
    group=r"\d{5}",


rule circuits_part:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=lambda wildcards: available(
            wildcards,
            lookup.layer_group(
                checkpoints.resolve_model.get(model=wildcards.model).output.manifest,
                wildcards.group,
            ).shards,
        ),
    output:
        "<model>/circuits/parts/{group}.attention_heads.parquet",
        "<model>/circuits/parts/{group}.amplifiers.parquet",
        "<model>/circuits/parts/{group}.experts.parquet",
        "<model>/circuits/parts/{group}.expert_pairs.parquet",
        "<model>/circuits/parts/{group}.heavy_tails.parquet",
        "<model>/circuits/parts/{group}.directions.npz",
        # As large as the weights of attention, or twice.
        temp("<model>/circuits/parts/{group}.bases.npz"),
    log:
        "<model>/logs/circuits_part/{group}.log",
    benchmark:
        "<model>/benchmarks/circuits_part/{group}.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("circuits_part"),
        disk_slots=lambda wildcards: slots(
            wildcards, RUN.layer_shards(wildcards.model, wildcards.group)
        ),
        # One GPU if there may be one, as of measure_shard.
        gpu=1 if RUN.on_gpu else 0,
    params:
        args=lambda wildcards: arguments.layer_flags(
            manifest_of(wildcards),
            lookup.layer_group(
                checkpoints.resolve_model.get(model=wildcards.model).output.manifest,
                wildcards.group,
            ),
        ),
        code=fingerprint("circuits_part"),
        device=uncompared(lambda wildcards: config["device"]),
        prefix=subpath(output[0], strip_suffix=".attention_heads.parquet"),
        program=program("circuits_part"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --group {wildcards.group}"
        " --weights {params.weights:q} --out {params.prefix:q} --device {params.device:q}"
        " {params.args} 2> {log:q}"


rule circuits:
    input:
        manifest=ancient("<model>/manifest.json"),
        parts=lambda wildcards: collect(
            "<model>/circuits/parts/{group}.{file}",
            model=wildcards.model,
            group=lookup.layer_groups_of(
                checkpoints.resolve_model.get(model=wildcards.model).output.manifest
            ),
            file=[
                *("attention_heads.parquet", "amplifiers.parquet", "experts.parquet"),
                *("expert_pairs.parquet", "bases.npz"),
            ],
        ),
    output:
        heads="<model>/circuits/attention_heads.csv",
        heads_parquet="<model>/circuits/attention_heads.parquet",
        graph="<model>/circuits/head_graph.csv",
        graph_parquet="<model>/circuits/head_graph.parquet",
        amplifiers="<model>/circuits/amplifiers.csv",
        amplifiers_parquet="<model>/circuits/amplifiers.parquet",
        experts="<model>/circuits/experts.csv",
        experts_parquet="<model>/circuits/experts.parquet",
        pairs="<model>/circuits/expert_pairs.csv",
        pairs_parquet="<model>/circuits/expert_pairs.parquet",
    log:
        "<model>/logs/circuits.log",
    benchmark:
        "<model>/benchmarks/circuits.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: min(workflow.cores or 1, 4)
    resources:
        **resources_for("circuits"),
        gpu=1 if RUN.on_gpu else 0,
    params:
        code=fingerprint("circuits"),
        device=uncompared(lambda wildcards: config["device"]),
        out_dir=subpath(output.heads, parent=True),
        program=program("circuits"),
    shell:
        "{params.program} --manifest {input.manifest:q} --measured {params.out_dir:q}/parts"
        " --out {params.out_dir:q} --threads {threads} --device {params.device:q} 2> {log:q}"


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
        parts=lambda wildcards: collect(
            "<model>/circuits/parts/{group}.heavy_tails.parquet",
            model=wildcards.model,
            group=lookup.layer_groups_of(
                checkpoints.resolve_model.get(model=wildcards.model).output.manifest
            ),
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
    threads: min(workflow.cores or 1, 4)
    resources:
        **resources_for("heavy_tails"),
    params:
        code=fingerprint("heavy_tails"),
        out=lambda wildcards, output: os.path.splitext(output.csv)[0],
        program=program("heavy_tails"),
    shell:
        "{params.program} --manifest {input.manifest:q} --spectra {input.spectra:q}"
        " --measured {input.parts:q} --out {params.out:q} --threads {threads} 2> {log:q}"


rule directions:
    input:
        manifest=ancient("<model>/manifest.json"),
        tokens="<model>/embedding/tokens.parquet",
        output_tokens="<model>/embedding/output_tokens.parquet",
        files=lambda wildcards: available(
            wildcards, records.lens_shards(manifest_of(wildcards))
        ),
        directions=lambda wildcards: collect(
            "<model>/circuits/parts/{group}.directions.npz",
            model=wildcards.model,
            group=lookup.layer_groups_of(
                checkpoints.resolve_model.get(model=wildcards.model).output.manifest
            ),
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
        disk_slots=lambda wildcards: slots(wildcards, RUN.token_shards(wildcards.model)),
        gpu=1 if RUN.on_gpu else 0,
    params:
        args=lambda wildcards: arguments.direction_flags(manifest_of(wildcards)),
        code=fingerprint("directions"),
        device=uncompared(lambda wildcards: config["device"]),
        out=lambda wildcards, output: os.path.splitext(output.csv)[0],
        program=program("directions"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --tokens {input.tokens:q}"
        " --output_tokens {input.output_tokens:q} --weights {params.weights:q}"
        " --directions {input.directions:q} --out {params.out:q} --threads {threads}"
        " --device {params.device:q} {params.args} 2> {log:q}"
