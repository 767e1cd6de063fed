"""The notebook of a training run, from a run on the disk."""

from blockresearch.project import PROJECT
from blockresearch.report.notebook_run import run_in, to_html, to_ipynb
from tests.unit.report.dynamics.samples import write_run
from tests.unit.report.hostile import Elements


def test_the_report_has_what_the_page_has(tmp_path):
    steps = [f"step{10 * place}" for place in range(8)]
    folder = write_run(tmp_path / "run", names=steps, slows_at=3)
    assert (PROJECT / "notebooks/45_dynamics.ipynb").is_file()
    name, executed = run_in("notebooks/45_dynamics.ipynb", "dynamics_dir", folder)
    html = to_html(executed, name, folder.name)
    page = Elements(html)
    assert page.tags.count("svg") == 7, "kinds, heads, and five metrics by layer"
    assert "Training run" in html and "8 steps, from step0 to step70" in html
    assert {"step30 (2)", "layers.1.up_proj.weight"} <= set(page.texts)
    text = to_ipynb(executed)
    assert text.count('"image/png": "') == 7 and "## Heads over the steps" in text
