"""The page of a training run, and its links."""

from blockresearch.files import write_json
from blockresearch.report import portal
from blockresearch.report.dynamics.links import followed, steps_of
from blockresearch.report.dynamics.page import dynamics_page
from tests.unit.report.dynamics.samples import write_run
from tests.unit.report.hostile import Elements


def test_the_page_has_charts_steps_and_what_moved(tmp_path):
    folder = write_run(tmp_path / "run")
    html = dynamics_page(folder)
    assert html == dynamics_page(folder)
    page = Elements(html)
    assert page.tags.count("figure") == 6, "kinds of matrices, and five metrics by layer"
    assert {"step0", "step10", "step20", "layers.1.up_proj.weight"} <= set(page.texts)
    assert not any("layers.0." in text for text in page.texts), "layer 0 did not move"


def test_the_page_of_all_models_lists_runs_not_steps(tmp_path):
    folder = write_run(tmp_path / "dynamics/org--run")
    (folder / "steps").mkdir()
    (folder / "steps/org--run@step10.parquet").touch()
    assert followed(tmp_path) == [] and steps_of(tmp_path) == {"org--run@step10"}
    (folder / "index.html").write_text(dynamics_page(folder))
    for name in ("org--run@step10", "org--other"):
        (tmp_path / name).mkdir()
        facts = {"model": name, "model_id": name, "revision": "main", "commit": "c" * 40}
        sizes = {"totals": {"parameters": 1, "bytes": 2}, "config": {}, "created_at": "2026"}
        write_json(facts | sizes, tmp_path / name / "manifest.json")
    html, entries = portal.portal(tmp_path, {}, {})
    assert [entry["folder"] for entry in entries] == ["org--other"]
    assert "dynamics/org--run/index.html" in html
