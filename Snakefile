# AI Block Research: takes large language models apart.
#
# Everything about a model lies in <results>/{model}; the names of its artifacts follow
#
#     manifest.json plan.json       resolve_model: what the model is, what to measure
#     shards/{shard}.ready          measure_shard: the shard is there, or was measured ahead
#     parts/{part}.*.parquet        analyze: one job per part of a shard
#     params.* matrices.* …         merge
#     layers.csv figures/           transformer_analysis
#     embedding/                    embedding_analysis
#     circuits/                     circuits, if `analyses` has it
#     audit.json                    audit_model
#     reports/ index.html           notebooks and pages
#     plans/                        `snakemake plans`: files that other tools execute
#     comparison.json               model_page: the numbers that the page of all models compares
#
# Downloaded weights lie in <weights>/{key}/, key being the start of their hash, and marks of them in
# <results>/downloads/{key}/.
import os

from snakemake.utils import min_version

min_version("9.25")


# That of the current folder. Without one every key has its default, which is the same.
if os.path.exists("config/config.yaml"):

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/handlers.smk"


pathvars:
    results=config["results"],
    model="<results>/{model}",


report: "workflow/report/workflow.rst"


include: "workflow/rules/fetch.smk"
include: "workflow/rules/analyze.smk"
include: "workflow/rules/embedding.smk"
include: "workflow/rules/circuits.smk"
include: "workflow/rules/compare.smk"
include: "workflow/rules/dynamics.smk"
include: "workflow/rules/plans.smk"
include: "workflow/rules/reports.smk"
include: "workflow/rules/compare_pages.smk"
include: "workflow/rules/dynamics_page.smk"


rule all:
    default_target: True
    input:
        "<results>/index.html",
        "<results>/index.json",
        "<results>/glossary.html",
        # Named one by one, so that a file that was deleted is made again.
        collect(
            "<results>/{model}/{artefact}",
            model=ANALYZED,
            artefact=["index.html", "comparison.json", *results.ALL],
        ),
        branch(
            "circuits" in config["analyses"],
            then=collect(
                "<results>/{model}/{artefact}",
                model=ANALYZED,
                artefact=results.CIRCUITS,
            ),
        ),
        collect("<results>/compare/{pair}/index.html", pair=COMPARISONS),
        collect("<results>/dynamics/{run}/index.html", run=TRAININGS),
        # The file that stands for passed audits, if config demands them.
        branch(config["audit"]["fail_on"] is not None, then="<results>/verdict.txt"),


onstart:
    begin()


onsuccess:
    end()


onerror:
    end_after_failure()
