# The page and the report of a comparison of two checkpoints.
from blockresearch.report.figures import scripts


rule compare_page:
    input:
        "<results>/compare/{other}-vs-{base}/pairs.parquet",
        "<results>/compare/{other}-vs-{base}/differences.parquet",
        "<results>/compare/{other}-vs-{base}/vocabulary.parquet",
        "<results>/compare/{other}-vs-{base}/subspaces.parquet",
        "<results>/compare/{other}-vs-{base}/heads.parquet",
        "<results>/compare/{other}-vs-{base}/profiles.parquet",
        "<results>/compare/{other}-vs-{base}/autopsy.json",
        "<results>/compare/{other}-vs-{base}/plans/adapter_plan.json",
        "<results>/compare/{other}-vs-{base}/plans/repair_plan.json",
        "<results>/compare/{other}-vs-{base}/reports/40_compare.html",
    output:
        "<results>/compare/{other}-vs-{base}/index.html",
    log:
        "<results>/compare/{other}-vs-{base}/logs/compare_page.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/compare_page.tsv"
    conda:
        "../../envs/reports.yaml"
    params:
        code=fingerprint(
            "compare_page",
            *PAGE,
            "comparison.html.j2",
            *scripts.STYLES,
            *scripts.BASE,
            *scripts.REPORT_LAYERS,
        ),
        language=config["language"],
        program=program("compare_page"),
        compare_dir=subpath(input[0], parent=True),
    shell:
        "{params.program} --language {params.language:q} --compare_dir {params.compare_dir:q}"
        " --html {output:q} 2> {log:q}"


rule compare_report:
    input:
        "<results>/compare/{other}-vs-{base}/pairs.parquet",
        "<results>/compare/{other}-vs-{base}/differences.parquet",
        "<results>/compare/{other}-vs-{base}/autopsy.json",
        "<results>/compare/{other}-vs-{base}/plans/adapter_plan.json",
        "<results>/compare/{other}-vs-{base}/plans/repair_plan.json",
    output:
        ipynb="<results>/compare/{other}-vs-{base}/reports/40_compare.ipynb",
        html=report(
            "<results>/compare/{other}-vs-{base}/reports/40_compare.html",
            "../report/compare.rst",
            category="compare",
            subcategory="reports",
            labels={"other": "{other}", "base": "{base}"},
        ),
    log:
        "<results>/compare/{other}-vs-{base}/logs/compare_report.log",
    benchmark:
        "<results>/compare/{other}-vs-{base}/benchmarks/compare_report.tsv"
    conda:
        "../../envs/reports.yaml"
    params:
        code=fingerprint(
            "compare_report",
            "style.css",
            "notebook/index.html.j2",
            "notebook/conf.json",
            *scripts.STYLES,
            *scripts.BASE,
            *scripts.REPORT_LAYERS,
            *WORDS,
        ),
        language=config["language"],
        program=program("compare_report"),
        compare_dir=subpath(input[0], parent=True),
        text=fingerprint("40_compare.ipynb"),
    shell:
        "{params.program} --language {params.language:q} --notebook notebooks/40_compare.ipynb"
        " --compare_dir {params.compare_dir:q} --ipynb {output.ipynb:q}"
        " --html {output.html:q} 2> {log:q}"
