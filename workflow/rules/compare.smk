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


rule compare_models:
    input:
        base="<results>/{base}/manifest.json",
        other="<results>/{other}/manifest.json",
        parents=lambda wildcards: collect(
            "<results>/{parent}/manifest.json",
            parent=PARENTS.get((wildcards.other, wildcards.base), []),
        ),
        files=lambda wildcards: [
            path
            for side in lookup.sides(
                wildcards, PARENTS.get((wildcards.other, wildcards.base), [])
            )
            for path in available(side, lookup.compared_files(manifest_of(side)))
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
    threads: max(workflow.cores or 1, 1)
    resources:
        **resources_for("compare_models"),
        # It needs all shards of both sides at once.
        disk_slots=lambda wildcards: max(
            slots(side, config["shards_on_disk"]) for side in lookup.sides(wildcards)
        ),
    params:
        code=fingerprint("compare"),
        out_dir=subpath(output.pairs, parent=True),
        program=program("compare"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --base_manifest {input.base:q} --other_manifest {input.other:q}"
        " --parent_manifests {input.parents:q}"
        " --weights {params.weights:q} --out {params.out_dir:q}"
        " --threads {threads} 2> {log:q}"


# `snakemake compare` makes the comparisons of config alone.
rule compare:
    input:
        collect("<results>/compare/{pair}/index.html", pair=COMPARISONS),
