"""Sums, sentences and facts of the reports: what the numbers say, and in which words."""

import math

import pytest

from blockresearch.checkpoint import model_card
from blockresearch.report import environment, wording
from blockresearch.report.layers import expert_finding, layer_findings
from blockresearch.report.values import information_table, largest_weights
from blockresearch.tables.io import frame


def test_numbers_have_units_and_sensible_digits():
    values = (1234.5, 999.7, 0.01234, -0.5, 1.234e-7, 12345678, -2e20, None)
    assert [wording.number(value) for value in values] == [
        "1,234",
        "1,000",
        "0.0123",
        "−0.5",
        "1.23 × 10⁻⁷",
        "1.23 × 10⁷",
        "−2.00 × 10²⁰",
        "–",
    ]
    assert [wording.aligned(value) for value in (0.06, 2.3, -40, 0, 999.7, 5e-9)] == [
        "0.0600",
        "2.30",
        "−40.0",
        "0",
        "1,000",
        "5.00 × 10⁻⁹",
    ]
    assert [wording.percent(share) for share in (0, 1, 1e-5, 0.00123, 0.5, None)] == [
        "0 %",
        "100 %",
        "< 0.01 %",
        "0.12 %",
        "50.0 %",
        "–",
    ]
    assert [wording.seconds(value) for value in (0.42, 12.3, 125, 3600 * 1000, math.nan)] == [
        "0.4 s",
        "12 s",
        "2 min 5 s",
        "1,000 h 0 min",
        "–",
    ]
    assert [wording.fixed(value) for value in (-0.0004, 23.2, -1234.6, None)] == [
        "0.00",
        "23.20",
        "−1,235",
        "–",
    ]
    assert [wording.size(count) for count in (999, 999_960, 1.5e12)] == [
        "999 bytes",
        "1.00 MB",
        "1.50 TB",
    ]
    assert wording.parameter_count(1.026e12) == "1.03 trillion"
    assert wording.unbroken("8 % of 4 tensors, 3 MB") == "8\u00a0% of 4 tensors, 3\u00a0MB"
    assert wording.by_component(["text", "x", "encoder", "vision"]) == [
        "vision",
        "encoder",
        "text",
        "x",
    ]
    assert wording.plural(1, "tensor") == "1 tensor" and wording.plural(2000, "job") == "2,000 jobs"


def test_information_sums_the_ideal_saving():
    rows = [
        {"block_type": "q_proj", "numel": 300, "dtype": "BF16", "entropy_bits": 8.0},
        {"block_type": "norm", "numel": 100, "dtype": "BF16", "entropy_bits": 16.0},
        {"block_type": "norm", "numel": 100, "dtype": "F32"},
    ]
    table = information_table(frame(rows, "params")).set_index("block_type")
    assert list(table.index) == ["q_proj", "norm", "all of these"]
    assert table.loc["all of these", "entropy_bits"] == 10
    assert table.loc["all of these", "saving"] == pytest.approx(1 - 10 / 16)
    assert table.loc["all of these", "nbytes"] == 400 * 10 / 8
    assert information_table(frame([], "params")).empty


def test_largest_weights_say_where_they_are():
    rows = [
        {"param_name": "a", "max_over_rms": 3.0, "top_values": [1.0], "top_rows": [4]},
        {"param_name": "b", "slice": "k_proj", "max_over_rms": 9.0, "top_values": [-5.0, 1.0]},
        {"param_name": "c"},
    ]
    table = largest_weights(frame(rows, "matrices"))
    assert list(table["matrix"]) == ["b k_proj", "a"]
    assert table["top_value"].iloc[0] == -5.0 and table["top_row"].iloc[1] == 4


def test_depth_findings_compare_equal_block_types():
    def row(layer, block, norm):
        where = {"component": "text", "layer_index": layer, "block_type": block}
        return where | {"matrices": 1, "std": 1.0 + layer, "spectral_norm": norm}

    norms = [("q_proj", (1, 1, 4)), ("v_proj", (50, 50, 51))]
    rows = [row(n, block, norm) for block, own in norms for n, norm in enumerate(own)]
    found = " ".join(layer_findings(frame(rows, "layers")))
    assert (
        "farthest above the median of its block type is that of q_proj in layer 2: 4.00 (median "
        "1.00)." in found
    )
    assert "text" not in found, "there is only one component"
    alike = [row(n, "q_proj", 2 + n / 50) | {"std": 1 + n / 50} for n in range(3)]
    found = " ".join(layer_findings(frame(alike, "layers")))
    assert "change little with depth" in found and "No spectral norm is far above" in found


def test_the_expert_that_differs_most_is_named():
    def expert(layer, number, std):
        where = {"component": "text", "layer_index": layer, "projection": "up_proj"}
        return where | {"expert_index": number, "std": std}

    rows = [expert(layer, number, 1.0 + layer) for layer in (0, 1) for number in range(4)]
    alike = expert_finding(frame(rows, "matrices"))
    assert alike.endswith("differs by more than 0 % from the median of its layer.")
    rows[6] |= {"std": 0.5}
    found = expert_finding(frame(rows, "matrices"))
    assert "expert 2 of layer 1: the standard deviation of its up_proj is 0.500, against" in found
    assert expert_finding(frame([], "matrices")) is None


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


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\r\nlicense:\r\n- mit\r\n- 7\r\n- bsd\r\n---\r\n", "mit, bsd"),
        ("---\nlicense: other\nlicense_name: llama2\ntags: {{broken\n---\n", "llama2"),
        ("---\nlicense: {a: [*b]}\n---\n", None),
        ("---\nlicense: 4\n---\n", None),
        ("# license: mit\n", None),
        ("---\nlicense: " + "x" * 9999 + "\n---\n", "x" * 100),
    ],
)
def test_the_license_of_a_model_card(card, license):
    assert model_card.stated_license(card.encode()) == license
