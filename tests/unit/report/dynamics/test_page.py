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
    assert page.tags.count("figure") == 7, "kinds, heads, and five metrics by layer"
    assert {"step0", "step10", "step20", "layers.1.up_proj.weight"} <= set(page.texts)
    assert "A knee needs at least 5 steps." in page.texts
    assert not any("layers.0." in text for text in page.texts), "layer 0 did not move"


def test_heads_and_knees_have_tables(tmp_path):
    steps = [f"step{10 * place}" for place in range(8)]
    html = dynamics_page(write_run(tmp_path / "run", names=steps, slows_at=3))
    texts = Elements(html).texts
    assert "head 3 of layer 1" in html and "step30 (2)" in texts
    # Both matrices of layer 1 bend at step30, those of layer 0 do not move.
    assert "Of 4 curves of the change from the first step, 2 have a knee" in html


def test_a_run_without_heads_says_so(tmp_path):
    folder = write_run(tmp_path / "run", heads=0)
    assert "No attention head moved" in dynamics_page(folder)


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
