# What changed between two checkpoints.
COMPARISONS = [pair.name for pair in compared(config)]

# Other checkpoints of which the other side may be a merge, by (other, base).
PARENTS = {
    (pair.other.name, pair.base.name): [parent.name for parent in pair.parents]
    for pair in compared(config)
}


wildcard_constraints:
    base="|".join(map(re.escape, MODELS)),
    other="|".join(map(re.escape, MODELS)),
    # A part of the base's plan, or all parts of a shard.
    part=r"\d{5}(-\d{3})?",


# Hashes of tensors, by which they are matched: the same for all comparisons of a model.
rule survey_shard:
    input:
        manifest=ancient("<model>/manifest.json"),
        files=lambda wildcards: available(
            wildcards, lookup.shard_files(manifest_of(wildcards), wildcards.shard)
        ),
    output:
        "<model>/surveys/{shard}.json",
    log:
        "<model>/logs/survey_shard/{shard}.log",
    benchmark:
        "<model>/benchmarks/survey_shard/{shard}.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: lambda wildcards: RUN.threads("survey_shard", wildcards.model, workflow.cores)
    resources:
        **resources_for("survey_shard"),
        disk_slots=lambda wildcards: slots(wildcards, 1),
    params:
        code=fingerprint("survey_shard"),
        digest=lambda wildcards: records.shard_digest(
            manifest_of(wildcards), wildcards.shard
        ),
        program=program("survey_shard"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifest {input.manifest:q} --shard {wildcards.shard}"
        " --weights {params.weights:q} --out {output:q} --threads {threads} 2> {log:q}"


# The pairs of a part of the base's plan; on a GPU of a shard, because torch takes seconds to start. Of
# the other side, the shards of their partners are read: one after the other if weights are not kept.
# Every device gives the same numbers.
rule compare_part:
    input:
        base="<results>/{base}/manifest.json",
        other="<results>/{other}/manifest.json",
        # Without them, the shards of both sides are not known yet.
        plans=ancient(["<results>/{base}/plan.json", "<results>/{other}/plan.json"]),
        parents=lambda wildcards: [
            f"<results>/{side.model}/manifest.json"
            for side in lookup.sides(wildcards, PARENTS)[2:]
        ],
        base_surveys=lambda wildcards: [
            f"<results>/{wildcards.base}/surveys/{shard}.json"
            for shard in lookup.shard_numbers(manifest_of(lookup.Side(wildcards.base)))
        ],
        other_surveys=lambda wildcards: [
            f"<results>/{wildcards.other}/surveys/{shard}.json"
            for shard in lookup.shard_numbers(
                manifest_of(lookup.Side(wildcards.other))
            )
        ],
        files=lambda wildcards: [
            path
            for side, files in zip(
                lookup.sides(wildcards, PARENTS),
                lookup.compared_files(
                    [manifest_of(side) for side in lookup.sides(wildcards, PARENTS)],
                    wildcards.part[:5],
                ),
            )
            for path in available(side, files)
        ],
    output:
        "<results>/compare/{other}-vs-{base}/parts/{part}.json",
    log:
        "<results>/compare/{other}-vs-{base}/logs/compare_part/{part}.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/compare_part/{part}.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: lambda wildcards: RUN.threads("compare_part", wildcards.base, workflow.cores)
    resources:
        **resources_for("compare_part"),
        # One shard of each side at a time.
        disk_slots=lambda wildcards: lookup.together(
            slots(side, 1) for side in lookup.sides(wildcards, PARENTS)
        ),
        gpu=1 if RUN.on_gpu else 0,
    params:
        code=fingerprint("compare_part"),
        device=uncompared(lambda wildcards: config["device"]),
        digests=lambda wildcards: [
            part["digest"]
            for part in plan_of(lookup.Side(wildcards.base))["parts"]
            if part["part"].startswith(wildcards.part)
        ],
        program=program("compare_part"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --base_manifest {input.base:q} --other_manifest {input.other:q}"
        " --parent_manifests {input.parents:q}"
        " --base_surveys {input.base_surveys:q} --other_surveys {input.other_surveys:q}"
        " --base_plan {input.plans[0]:q} --part {wildcards.part} --weights {params.weights:q} --out {output:q}"
        " --threads {threads} --device {params.device:q} 2> {log:q}"


rule compare_models:
    input:
        base="<results>/{base}/manifest.json",
        other="<results>/{other}/manifest.json",
        # Without them, the shards of both sides are not known yet.
        plans=ancient(["<results>/{base}/plan.json", "<results>/{other}/plan.json"]),
        base_surveys=lambda wildcards: [
            f"<results>/{wildcards.base}/surveys/{shard}.json"
            for shard in lookup.shard_numbers(manifest_of(lookup.Side(wildcards.base)))
        ],
        other_surveys=lambda wildcards: [
            f"<results>/{wildcards.other}/surveys/{shard}.json"
            for shard in lookup.shard_numbers(
                manifest_of(lookup.Side(wildcards.other))
            )
        ],
        parts=lambda wildcards: collect(
            "<results>/compare/{other}-vs-{base}/parts/{part}.json",
            other=wildcards.other,
            base=wildcards.base,
            part=RUN.compared_parts(
                plan_of(lookup.Side(wildcards.base)), lookup.sides(wildcards, PARENTS)
            ),
        ),
        tokenizers=lambda wildcards: [
            path
            for side in lookup.sides(wildcards)
            for path in available(
                side, lookup.files_of(manifest_of(side), "tokenizer")
            )
        ],
    output:
        pairs="<results>/compare/{other}-vs-{base}/pairs.csv",
        pairs_parquet="<results>/compare/{other}-vs-{base}/pairs.parquet",
        csv="<results>/compare/{other}-vs-{base}/differences.csv",
        parquet="<results>/compare/{other}-vs-{base}/differences.parquet",
        subspaces="<results>/compare/{other}-vs-{base}/subspaces.csv",
        subspaces_parquet="<results>/compare/{other}-vs-{base}/subspaces.parquet",
        heads="<results>/compare/{other}-vs-{base}/heads.csv",
        heads_parquet="<results>/compare/{other}-vs-{base}/heads.parquet",
        lineage="<results>/compare/{other}-vs-{base}/lineage.csv",
        lineage_parquet="<results>/compare/{other}-vs-{base}/lineage.parquet",
        profiles="<results>/compare/{other}-vs-{base}/profiles.csv",
        profiles_parquet="<results>/compare/{other}-vs-{base}/profiles.parquet",
        mixture="<results>/compare/{other}-vs-{base}/mixture.csv",
        mixture_parquet="<results>/compare/{other}-vs-{base}/mixture.parquet",
        autopsy="<results>/compare/{other}-vs-{base}/autopsy.json",
        vocabulary="<results>/compare/{other}-vs-{base}/vocabulary.csv",
        tokens="<results>/compare/{other}-vs-{base}/vocabulary.parquet",
    log:
        "<results>/compare/{other}-vs-{base}/logs/compare.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/compare.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("compare_models"),
        # If many changes share a direction, it reads one shard of each side at a time once more.
        disk_slots=lambda wildcards: lookup.together(
            slots(side, 1) for side in lookup.sides(wildcards)
        ),
    params:
        code=fingerprint("compare"),
        out_dir=subpath(output.pairs, parent=True),
        program=program("compare"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --base_manifest {input.base:q} --other_manifest {input.other:q}"
        " --base_surveys {input.base_surveys:q} --other_surveys {input.other_surveys:q}"
        " --parts {input.parts:q} --weights {params.weights:q} --out {params.out_dir:q}"
        " 2> {log:q}"


# `snakemake compare` makes the comparisons of config alone.
rule compare:
    input:
        collect("<results>/compare/{pair}/index.html", pair=COMPARISONS),
