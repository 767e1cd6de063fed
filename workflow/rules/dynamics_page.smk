# The page of a training run.
from blockresearch.report.figures import scripts


rule dynamics_page:
    input:
        "<results>/dynamics/{training}/dynamics.parquet",
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
