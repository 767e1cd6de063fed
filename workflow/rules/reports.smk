# Pictures, notebooks executed by papermill, and the pages that link everything.
from blockresearch import results

NOTEBOOK_PAGE = [
    str(PACKAGE / "report/templates/style.css"),
    str(PACKAGE / "report/templates/notebook/index.html.j2"),
    str(PACKAGE / "report/templates/notebook/conf.json"),
]
PAGE = [
    str(PACKAGE / "report/templates/style.css"),
    str(PACKAGE / "report/templates/page.css"),
    str(PACKAGE / "report/templates/base.html.j2"),
]


rule transformer_analysis:
    input:
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
    output:
        report(
            "<model>/layers.csv",
            "../report/layers.rst",
            category="{model}",
            subcategory="tables",
            labels={"table": "layers"},
        ),
    log:
        "<model>/logs/transformer_analysis.log",
    benchmark:
        "<model>/benchmarks/transformer_analysis.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("transformer_analysis")),
    params:
        code=fingerprint("transformer_analysis", without="blockresearch.report.plots.layers"),
    shell:
        "python -m workflow.scripts.transformer_analysis --params {input.params:q}"
        " --matrices {input.matrices:q} --out {output:q} 2> {log:q}"


rule audit_model:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        coverage="<model>/coverage.csv",
    output:
        "<model>/audit.json",
    log:
        "<model>/logs/audit_model.log",
    benchmark:
        "<model>/benchmarks/audit_model.tsv"
    conda:
        "../../envs/numeric.yaml"
    resources:
        **asks(making("audit_model")),
    params:
        code=fingerprint("audit_model"),
    shell:
        "python -m workflow.scripts.audit_model --manifest {input.manifest:q} --params {input.params:q}"
        " --coverage {input.coverage:q} --out {output:q} 2> {log:q}"


# `snakemake audit` says what the audits found, and fails as config says (audit: fail_on).
rule audit:
    input:
        collect("<results>/{model}/audit.json", model=MODELS),
    log:
        "<results>/logs/audit.log",
    conda:
        "../../envs/numeric.yaml"
    params:
        args=flags({"fail_on": config["audit"]["fail_on"]}),
    shell:
        "python -m workflow.scripts.verdict {params.args} {input:q} 2> {log:q}"


# Waits for all pages, so that a run that fails here has written every report.
rule verdict:
    input:
        page="<results>/index.html",
        audits=collect("<results>/{model}/audit.json", model=MODELS),
    output:
        "<results>/verdict.txt",
    log:
        "<results>/logs/verdict.log",
    benchmark:
        "<results>/benchmarks/verdict.tsv"
    conda:
        "../../envs/numeric.yaml"
    params:
        args=flags({"fail_on": config["audit"]["fail_on"]}),
        code=fingerprint("verdict"),
    shell:
        "python -m workflow.scripts.verdict {params.args} --out {output:q} {input.audits:q}"
        " 2> {log:q}"


rule figures:
    input:
        layers="<model>/layers.csv",
        clusters="<model>/embedding/clusters.csv",
        clusters_summary="<model>/embedding/clusters_summary.csv",
        elbow="<model>/embedding/elbow.csv",
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
        **asks(making("figures")),
    params:
        code=fingerprint("figures"),
        embedding=subpath(input.elbow, parent=True),
        out_dir=subpath(output.std, parent=True),
    shell:
        "python -m workflow.scripts.figures --layers {input.layers:q}"
        " --embedding {params.embedding:q} --out {params.out_dir:q} 2> {log:q}"


# It also reads the benchmarks of the jobs that made its input: where one of them runs, so does it.
rule notebook_setup:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        coverage="<model>/coverage.csv",
        audit="<model>/audit.json",
        page=NOTEBOOK_PAGE,
    output:
        ipynb="<model>/reports/00_setup.ipynb",
        html=report(
            "<model>/reports/00_setup.html",
            "../report/notebook.rst",
            category="{model}",
            subcategory="reports",
            labels={"report": "00 set-up"},
        ),
    log:
        "<model>/logs/notebook_setup.log",
    benchmark:
        "<model>/benchmarks/notebook_setup.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("notebook_setup")),
    params:
        code=fingerprint("notebook"),
        text=fingerprint("00_setup.ipynb"),
        model_dir=subpath(input.manifest, parent=True),
        settings=measurement_settings,
    shell:
        "python -m workflow.scripts.notebook --notebook notebooks/00_setup.ipynb"
        " --model_dir {params.model_dir:q} --settings {params.settings:q}"
        " --ipynb {output.ipynb:q} --html {output.html:q} 2> {log:q}"


rule notebook_summary_stats:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        histograms="<model>/histograms.parquet",
        page=NOTEBOOK_PAGE,
    output:
        ipynb="<model>/reports/10_summary_stats.ipynb",
        html=report(
            "<model>/reports/10_summary_stats.html",
            "../report/notebook.rst",
            category="{model}",
            subcategory="reports",
            labels={"report": "10 summary statistics"},
        ),
    log:
        "<model>/logs/notebook_summary_stats.log",
    benchmark:
        "<model>/benchmarks/notebook_summary_stats.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("notebook_summary_stats")),
    params:
        code=fingerprint("notebook"),
        text=fingerprint("10_summary_stats.ipynb"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "python -m workflow.scripts.notebook --notebook notebooks/10_summary_stats.ipynb"
        " --model_dir {params.model_dir:q} --ipynb {output.ipynb:q} --html {output.html:q}"
        " 2> {log:q}"


rule notebook_per_layer:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        matrices="<model>/matrices.parquet",
        spectra="<model>/spectra.parquet",
        layers="<model>/layers.csv",
        page=NOTEBOOK_PAGE,
    output:
        ipynb="<model>/reports/20_per_layer.ipynb",
        html=report(
            "<model>/reports/20_per_layer.html",
            "../report/notebook.rst",
            category="{model}",
            subcategory="reports",
            labels={"report": "20 layers"},
        ),
    log:
        "<model>/logs/notebook_per_layer.log",
    benchmark:
        "<model>/benchmarks/notebook_per_layer.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("notebook_per_layer")),
    params:
        code=fingerprint("notebook"),
        text=fingerprint("20_per_layer.ipynb"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "python -m workflow.scripts.notebook --notebook notebooks/20_per_layer.ipynb"
        " --model_dir {params.model_dir:q} --ipynb {output.ipynb:q} --html {output.html:q}"
        " 2> {log:q}"


rule notebook_embedding_output:
    input:
        manifest="<model>/manifest.json",
        params="<model>/params.parquet",
        spectra="<model>/spectra.parquet",
        clusters="<model>/embedding/clusters.csv",
        clusters_summary="<model>/embedding/clusters_summary.csv",
        elbow="<model>/embedding/elbow.csv",
        projection="<model>/embedding/projection.parquet",
        tokens="<model>/embedding/tokens.csv",
        output_tokens="<model>/embedding/output_tokens.csv",
        summary="<model>/embedding/summary.json",
        page=NOTEBOOK_PAGE,
    output:
        ipynb="<model>/reports/30_embedding_output.ipynb",
        html=report(
            "<model>/reports/30_embedding_output.html",
            "../report/notebook.rst",
            category="{model}",
            subcategory="reports",
            labels={"report": "30 embedding and output"},
        ),
    log:
        "<model>/logs/notebook_embedding_output.log",
    benchmark:
        "<model>/benchmarks/notebook_embedding_output.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("notebook_embedding_output")),
    params:
        code=fingerprint("notebook"),
        text=fingerprint("30_embedding_output.ipynb"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "python -m workflow.scripts.notebook --notebook notebooks/30_embedding_output.ipynb"
        " --model_dir {params.model_dir:q} --ipynb {output.ipynb:q} --html {output.html:q}"
        " 2> {log:q}"


rule model_page:
    input:
        artefacts=collect("<model>/{artefact}", artefact=results.ALL),
        manifest="<model>/manifest.json",
        page=[
            *PAGE,
            str(PACKAGE / "report/templates/model.html.j2"),
            str(PACKAGE / "report/templates/table.js"),
        ],
    output:
        html="<model>/index.html",
        comparison="<model>/comparison.json",
    log:
        "<model>/logs/model_page.log",
    benchmark:
        "<model>/benchmarks/model_page.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(making("model_page")),
    params:
        code=fingerprint("model_page"),
        model_dir=subpath(input.manifest, parent=True),
    shell:
        "python -m workflow.scripts.model_page --model_dir {params.model_dir:q}"
        " --html {output.html:q} --comparison {output.comparison:q} 2> {log:q}"


rule glossary:
    input:
        page=[*PAGE, str(PACKAGE / "report/templates/glossary.html.j2")],
    output:
        "<results>/glossary.html",
    log:
        "<results>/logs/glossary.log",
    benchmark:
        "<results>/benchmarks/glossary.tsv"
    conda:
        "../../envs/reports.yaml"
    resources:
        **asks(listing),
    params:
        code=fingerprint("glossary"),
    shell:
        "python -m workflow.scripts.glossary --html {output:q} 2> {log:q}"


rule portal:
    input:
        pages=collect("<results>/{model}/index.html", model=MODELS),
        comparisons=collect("<results>/{model}/comparison.json", model=MODELS),
        manifests=collect("<results>/{model}/manifest.json", model=MODELS),
        audits=collect("<results>/{model}/audit.json", model=MODELS),
        page=[
            *PAGE,
            str(PACKAGE / "report/templates/portal.html.j2"),
            str(PACKAGE / "report/templates/portal.js"),
        ],
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
        **asks(listing),
    params:
        code=fingerprint("portal"),
        results=subpath(output.html, parent=True),
        weights=weights_root,
    shell:
        "python -m workflow.scripts.portal --results {params.results:q} --weights {params.weights:q}"
        " --html {output.html:q} --json {output.json:q} 2> {log:q}"
