"""What the jobs took."""

import math

from blockresearch.report import environment


def test_benchmarks_are_summed_by_stage(tmp_path):
    head = "s\th:m:s\tmax_rss\tcpu_time\n"
    (tmp_path / "analyze").mkdir()
    (tmp_path / "analyze/00000-000.tsv").write_text(head + "2.0\t0:00:02\t100\t1.5\n")
    (tmp_path / "analyze/00000-001.tsv").write_text(head + "9\tx\t9\t9\n4.0\t0\t300\tNA\n")
    (tmp_path / "merge.tsv").write_text(head + "0.1\t0:00:00\t-\t-\n")
    (tmp_path / "notebook_setup.tsv").write_text(head)
    table = environment.stages(tmp_path).set_index("stage")
    assert list(table.index) == ["analyze", "merge"]
    assert table.loc["analyze", ["jobs", "seconds", "longest", "cpu_seconds"]].tolist() == [
        2,
        6,
        4,
        1.5,
    ]
    assert table.loc["analyze", "peak_bytes"] == 300 * 2**20
    assert math.isnan(table.loc["merge", "peak_bytes"])
    assert environment.stages(tmp_path / "none").empty
