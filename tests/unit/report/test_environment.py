"""What the jobs took."""

import math

from blockresearch.report import environment
from blockresearch.run import handover


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


def test_counted_facts_stand_before_sampled_ones(tmp_path):
    for folder in ("benchmarks", "logs"):
        (tmp_path / folder).mkdir()
    (tmp_path / "benchmarks/merge.tsv").write_text("s\tmax_rss\tcpu_time\n2.0\t10\t0.1\n")
    log = tmp_path / "logs/merge.log"
    log.write_text("12:00:00 INFO 3 tensors\n" + handover.USED.format(1.25, 3 * 2**20) + "\n")
    table = environment.stages(tmp_path / "benchmarks")
    assert table[["seconds", "cpu_seconds", "peak_bytes"]].values.tolist() == [[2, 1.25, 3 * 2**20]]
