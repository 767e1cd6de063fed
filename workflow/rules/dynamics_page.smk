# The page and the report of a training run.
from blockresearch.report.figures import scripts


rule dynamics_page:
    input:
        "<results>/dynamics/{training}/dynamics.parquet",
        "<results>/dynamics/{training}/dynamics_heads.parquet",
        "<results>/dynamics/{training}/knees.parquet",
        "<results>/dynamics/{training}/reports/45_dynamics.html",
    output:
        "<results>/dynamics/{training}/index.html",
    log:
        "<results>/dynamics/{training}/logs/dynamics_page.log",
    benchmark:
        "<results>/dynamics/{training}/benchmarks/dynamics_page.tsv"
    conda:
        "../../envs/reports.yaml"
    params:
        code=fingerprint(
            "dynamics_page",
            *PAGE,
            "dynamics.html.j2",
            *scripts.STYLES,
            *scripts.BASE,
            *scripts.REPORT_CHARTS,
        ),
        language=config["language"],
        program=program("dynamics_page"),
        dynamics_dir=subpath(input[0], parent=True),
    shell:
        "{params.program} --language {params.language:q} --dynamics_dir {params.dynamics_dir:q}"
        " --html {output:q} 2> {log:q}"


rule dynamics_report:
    input:
        "<results>/dynamics/{training}/dynamics.parquet",
        "<results>/dynamics/{training}/dynamics_heads.parquet",
        "<results>/dynamics/{training}/knees.parquet",
    output:
        ipynb="<results>/dynamics/{training}/reports/45_dynamics.ipynb",
        html=report(
            "<results>/dynamics/{training}/reports/45_dynamics.html",
            "../report/dynamics.rst",
            category="dynamics",
            subcategory="reports",
            labels={"training": "{training}"},
        ),
    log:
        "<results>/dynamics/{training}/logs/dynamics_report.log",
    benchmark:
        "<results>/dynamics/{training}/benchmarks/dynamics_report.tsv"
    conda:
        "../../envs/reports.yaml"
    params:
        code=fingerprint(
            "dynamics_report",
            "style.css",
            "notebook/index.html.j2",
            "notebook/conf.json",
            *scripts.STYLES,
            *scripts.BASE,
            *scripts.REPORT_CHARTS,
            *scripts.REPORT_TABLES,
            *WORDS,
        ),
        language=config["language"],
        program=program("dynamics_report"),
        dynamics_dir=subpath(input[0], parent=True),
        text=fingerprint("45_dynamics.ipynb"),
    shell:
        "{params.program} --language {params.language:q} --notebook notebooks/45_dynamics.ipynb"
        " --dynamics_dir {params.dynamics_dir:q} --ipynb {output.ipynb:q}"
        " --html {output.html:q} 2> {log:q}"
