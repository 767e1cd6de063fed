# What changes from step to step of a training run: the revisions of config.
from blockresearch.run.config import training

TRAINING = training(config)
TRAININGS = [TRAINING.name] if TRAINING else []

# Step -> the manifests that are read for it: its own, of the first step and of the one before.
STEPS = lookup.steps(TRAINING)


wildcard_constraints:
    step="|".join(map(re.escape, MODELS)),


# Of a step only shards are read that are not those of the step before.
rule measure_step:
    input:
        manifests=lambda wildcards: [
            f"<results>/{side.model}/manifest.json" for side in STEPS[wildcards.step]
        ],
        files=lambda wildcards: [
            path
            for side, shards in zip(
                STEPS[wildcards.step],
                lookup.step_shards(
                    [manifest_of(side) for side in STEPS[wildcards.step]]
                ),
            )
            for path in available(side, shards)
        ],
    output:
        "<results>/dynamics/{training}/steps/{step}.parquet",
    log:
        "<results>/dynamics/{training}/logs/measure_step/{step}.log",
    benchmark:
        "<results>/dynamics/{training}/benchmarks/measure_step/{step}.tsv"
    conda:
        "../../envs/numeric.yaml"
    threads: max(workflow.cores or 1, 1)
    resources:
        **resources_for("measure_step"),
        # It needs its shards, and those of the steps before, at once.
        disk_slots=lambda wildcards: slots(
            lookup.Side(wildcards.step), config["shards_on_disk"]
        ),
    params:
        code=fingerprint("measure_step"),
        program=program("measure_step"),
        weights=uncompared(lambda wildcards: config["weights"]),
    shell:
        "{params.program} --manifests {input.manifests:q} --weights {params.weights:q}"
        " --out {output:q} --threads {threads} 2> {log:q}"


rule join_steps:
    input:
        manifests=collect("<results>/{step}/manifest.json", step=STEPS),
        steps=collect(
            "<results>/dynamics/{{training}}/steps/{step}.parquet", step=STEPS
        ),
    output:
        "<results>/dynamics/{training}/dynamics.csv",
        "<results>/dynamics/{training}/dynamics.parquet",
        "<results>/dynamics/{training}/dynamics_heads.csv",
        "<results>/dynamics/{training}/dynamics_heads.parquet",
        "<results>/dynamics/{training}/knees.csv",
        "<results>/dynamics/{training}/knees.parquet",
    log:
        "<results>/dynamics/{training}/logs/join_steps.log",
    benchmark:
        "<results>/dynamics/{training}/benchmarks/join_steps.tsv"
    conda:
        "../../envs/numeric.yaml"
    params:
        code=fingerprint("join_steps"),
        program=program("join_steps"),
        out_dir=subpath(output[0], parent=True),
    shell:
        "{params.program} --manifests {input.manifests:q} --steps {input.steps:q}"
        " --out {params.out_dir:q} 2> {log:q}"


# `snakemake dynamics` follows the training run of config, and analyzes no model.
rule dynamics:
    input:
        collect("<results>/dynamics/{run}/index.html", run=TRAININGS),
