# Pictures, notebooks executed by papermill, and the pages that link everything.

from blockresearch.report.figures import scripts

# Of the catalogue only pages that need it are made from it.
WORDS = ["language.js"] + (
    ["../../language/zh.po"] if config["language"] != "en" else []
)
PAGE = ["style.css", "page.css", "base.html.j2", *WORDS]


rule transformer_analysis:
    input:
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
    output:
        csv=report(
            "<model>/layers.csv",
            "../report/layers.rst",
            category="{model}",
            subcategory="tables",
            labels={"table": "layers"},
        ),
        parquet="<model>/layers.parquet",
    log:
        "<model>/logs/transformer_analysis.log",
    benchmark:
        "<model>/benchmarks/transformer_analysis.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("transformer_analysis"),
    params:
        code=fingerprint("transformer_analysis"),
        program=program("transformer_analysis"),
    shell:
        "{params.program} --params {input.params:q}"
        " --matrices {input.matrices:q} --out {output.csv:q} --also {output.parquet:q}"
        " 2> {log:q}"


rule audit_model:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        coverage="<model>/coverage.parquet",
    output:
        "<model>/audit.json",
    log:
        "<model>/logs/audit_model.log",
    benchmark:
        "<model>/benchmarks/audit_model.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("audit_model"),
    params:
        code=fingerprint("audit_model"),
        program=program("audit_model"),
    shell:
        "{params.program} --manifest {input.manifest:q} --params {input.params:q}"
        " --coverage {input.coverage:q} --out {output:q} 2> {log:q}"


# `snakemake audit` says what the audits found, and fails as config says (audit: fail_on). A second
# attempt would find the same.
rule audit:
    input:
        collect("<results>/{model}/audit.json", model=ANALYZED),
    log:
        "<results>/logs/audit.log",
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    params:
        args=flags({"fail_on": config["audit"]["fail_on"]}),
        program=program("verdict"),
    shell:
        "{params.program} {params.args} {input:q} 2> {log:q}"


# Waits for all pages, so that a run that fails here has written every report.
rule verdict:
    input:
        page="<results>/index.html",
        audits=collect("<results>/{model}/audit.json", model=ANALYZED),
    output:
        "<results>/verdict.txt",
    log:
        "<results>/logs/verdict.log",
    benchmark:
        "<results>/benchmarks/verdict.tsv"
    retries: 0
    conda:
        "../../envs/numeric.yaml"
    params:
        args=flags({"fail_on": config["audit"]["fail_on"]}),
        code=fingerprint("verdict"),
        program=program("verdict"),
    shell:
        "{params.program} {params.args} --out {output:q} {input.audits:q}" " 2> {log:q}"


rule figures:
    input:
        layers="<model>/layers.parquet",
        clusters="<model>/embedding/clusters.parquet",
        clusters_summary="<model>/embedding/clusters_summary.parquet",
        elbow="<model>/embedding/elbow.parquet",
        projection="<model>/embedding/projection.parquet",
        summary="<model>/embedding/summary.json",
    output:
        std=report(
            "<model>/figures/layers_std.png",
            "../report/layers_figure.rst",
            category="{model}",
            subcategory="layers",
            labels={"figure": "standard deviation"},
        ),
        rank=report(
            "<model>/figures/layers_stable_rank.png",
            "../report/layers_figure.rst",
            category="{model}",
            subcategory="layers",
            labels={"figure": "stable rank"},
        ),
        elbow=report(
            "<model>/figures/elbow.png",
            "../report/elbow.rst",
            category="{model}",
            subcategory="embedding",
            labels={"figure": "elbow"},
        ),
        cluster_map=report(
            "<model>/figures/cluster_map.png",
            "../report/map.rst",
            category="{model}",
            subcategory="embedding",
            labels={"figure": "map of tokens"},
        ),
    log:
        "<model>/logs/figures.log",
    benchmark:
        "<model>/benchmarks/figures.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("figures"),
    params:
        code=fingerprint("figures", *WORDS),
        language=config["language"],
        program=program("figures"),
        embedding=subpath(input.elbow, parent=True),
        out_dir=subpath(output.std, parent=True),
    shell:
        "{params.program} --language {params.language:q} --layers {input.layers:q}"
        " --embedding {params.embedding:q} --out {params.out_dir:q} 2> {log:q}"


rule findings:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        tokens="<model>/embedding/tokens.parquet",
        output_tokens="<model>/embedding/output_tokens.parquet",
        elbow="<model>/embedding/elbow.parquet",
        summary="<model>/embedding/summary.json",
    output:
        "<model>/findings.json",
    log:
        "<model>/logs/findings.log",
    benchmark:
        "<model>/benchmarks/findings.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("findings"),
    params:
        code=fingerprint("findings"),
        program=program("findings"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "{params.program} --model_dir {params.model_dir:q} --out {output:q}"
        " 2> {log:q}"


# One job for each entry of REPORTS, or of ON_DEMAND if it is wanted, in src/blockresearch/results.py.
rule notebook:
    input:
        lambda wildcards: collect(
            "<model>/{file}",
            model=wildcards.model,
            file=(results.REPORTS | results.ON_DEMAND)[wildcards.notebook].reads,
        ),
        lambda wildcards: (
            [f"{config['results']}/{wildcards.model}/plans/merge_plan.json"]
            if wildcards.notebook == "50_plans" and wildcards.model in MERGES
            else []
        ),
        lambda wildcards: (
            [f"{config['results']}/{wildcards.model}/plans/experts_plan.json"]
            if wildcards.notebook == "50_plans" and HAS_EXPERTS
            else []
        ),
    output:
        ipynb="<model>/reports/{notebook}.ipynb",
        html=report(
            "<model>/reports/{notebook}.html",
            "../report/notebook.rst",
            category="{model}",
            subcategory="reports",
            labels={"report": "{notebook}"},
        ),
    log:
        "<model>/logs/notebook/{notebook}.log",
    benchmark:
        "<model>/benchmarks/notebook/{notebook}.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("notebook"),
    params:
        args=lambda wildcards: arguments.report_flags(config, wildcards.notebook),
        code=fingerprint(
            "notebook",
            "style.css",
            "notebook/index.html.j2",
            "notebook/conf.json",
            *scripts.STYLES,
            *scripts.REPORT_SCRIPTS,
            *WORDS,
        ),
        language=config["language"],
        model_dir=subpath(output.html, ancestor=2),
        program=program("notebook"),
        text=lambda wildcards: fingerprint(f"{wildcards.notebook}.ipynb"),
    shell:
        "{params.program} --notebook notebooks/{wildcards.notebook}.ipynb"
        " --language {params.language:q}"
        " --model_dir {params.model_dir:q} {params.args} --ipynb {output.ipynb:q}"
        " --html {output.html:q} 2> {log:q}"


rule model_page:
    input:
        artefacts=collect("<model>/{artefact}", artefact=results.ALL),
        # The page lists them if they are there.
        circuits=branch(
            "circuits" in config["analyses"],
            then=collect("<model>/{artefact}", artefact=results.CIRCUITS),
        ),
        manifest="<model>/manifest.json",
    output:
        html="<model>/index.html",
        comparison="<model>/comparison.json",
        details=directory("<model>/details"),
    log:
        "<model>/logs/model_page.log",
    benchmark:
        "<model>/benchmarks/model_page.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("model_page"),
    params:
        code=fingerprint(
            "model_page",
            *PAGE,
            "model.html.j2",
            *scripts.STYLES,
            *scripts.MODEL_SCRIPTS,
        ),
        comparisons=lambda wildcards: [
            pair
            for pair in COMPARISONS
            if f"{wildcards.model}-vs-" in pair
            or pair.endswith(f"-vs-{wildcards.model}")
        ],
        language=config["language"],
        program=program("model_page"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "{params.program} --language {params.language:q} --model_dir {params.model_dir:q}"
        " --html {output.html:q} --comparison {output.comparison:q}"
        " --details {output.details:q}"
        " --comparisons {params.comparisons:q} 2> {log:q}"


rule glossary:
    output:
        "<results>/glossary.html",
    log:
        "<results>/logs/glossary.log",
    benchmark:
        "<results>/benchmarks/glossary.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("glossary"),
    params:
        code=fingerprint("glossary", *PAGE, "glossary.html.j2"),
        language=config["language"],
        program=program("glossary"),
    shell:
        "{params.program} --language {params.language:q} --html {output:q} 2> {log:q}"


# Adds all models to the store of the run, once; its list of them is written last.
rule store:
    input:
        comparisons=collect("<results>/{model}/comparison.json", model=ANALYZED),
    output:
        "<results>/store.json",
    log:
        "<results>/logs/store.log",
    benchmark:
        "<results>/benchmarks/store.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **resources_for("store"),
    params:
        args=flags({"store": config["store"]}),
        code=fingerprint("store"),
        models=[*ANALYZED],
        program=program("store"),
        results=subpath(output[0], parent=True),
    shell:
        "{params.program} --results {params.results:q} {params.args} --out {output:q}"
        " {params.models:q} 2> {log:q}"


rule portal:
    input:
        pages=collect("<results>/{model}/index.html", model=ANALYZED),
        comparisons=collect("<results>/{model}/comparison.json", model=ANALYZED),
        manifests=collect("<results>/{model}/manifest.json", model=ANALYZED),
        audits=collect("<results>/{model}/audit.json", model=ANALYZED),
        compared=collect("<results>/compare/{pair}/index.html", pair=COMPARISONS),
        dynamics=collect("<results>/dynamics/{run}/index.html", run=TRAININGS),
        stored=branch(config["store"] is not None, then="<results>/store.json"),
    output:
        html="<results>/index.html",
        json="<results>/index.json",
    log:
        "<results>/logs/portal.log",
    benchmark:
        "<results>/benchmarks/portal.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **resources_for("portal"),
    params:
        code=fingerprint(
            "portal", *PAGE, "portal.html.j2", "portal-depth.js", "portal.js"
        ),
        args=flags({"store": config["store"]}),
        language=config["language"],
        program=program("portal"),
        results=subpath(output.html, parent=True),
    shell:
        "{params.program} --language {params.language:q} --results {params.results:q} {params.args}"
        " --html {output.html:q} --json {output.json:q} 2> {log:q}"


# `snakemake verify` reads all results again and names those that were altered or deleted.
rule verify:
    log:
        "<results>/logs/verify.log",
    retries: 0
    localrule: True
    conda:
        "../../envs/hub.yaml"
    params:
        folders=FOLDERS,
        program=program("verify"),
        results=config["results"],
    shell:
        "{params.program} --results {params.results:q} {params.folders:q} 2> {log:q}"
