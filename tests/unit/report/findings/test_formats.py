"""Errors of low-bit formats add up by energy, and few bad matrices are named."""

import numpy as np
import pytest

from blockresearch.report.findings import formats
from tests.unit.report.findings.samples import layers, matrices


def plain(finding):
    return finding.text.replace("\u00a0", " ")


def planted(count=10, worst=13.0, eight=35.0, nvfp4=21.0, share=1):
    """`count` matrices at 18 dB in INT4, and one of `share` times their size at `worst`."""
    row = {"rms": 1.0, "int8_channel_sqnr_db": eight, "nvfp4_sqnr_db": nvfp4}
    rows = layers([18.0] * count, "int4_g128_sym_sqnr_db", **row)
    odd = rows[0] | {"param_name": "odd", "int4_g128_sym_sqnr_db": worst, "numel": 64 * share}
    return matrices(rows, [odd])


def test_decibel_is_that_of_the_energy():
    random = np.random.default_rng(0)
    weights = [random.normal(0, scale, 64) for scale in (1.0, 5.0)]
    errors = [random.normal(0, 0.1, 64), random.normal(0, 1.0, 64)]
    rows = layers([0, 0], "nf4_sqnr_db")
    for row, w, e in zip(rows, weights, errors, strict=True):
        row |= {"rms": np.sqrt((w**2).mean()), "nf4_sqnr_db": 10 * np.log10((w @ w) / (e @ e))}
    signal, noise = (sum(x @ x for x in part) for part in (weights, errors))
    found = formats.decibel(matrices(rows), "nf4_sqnr_db")
    assert found == pytest.approx(10 * np.log10(signal / noise))


def test_few_bad_matrices_are_kept_in_8_bits():
    (found,) = formats.keep_in_8_bits(planted())
    assert [place.name for place in found.tensors] == ["odd"] and found.severity == "notable"
    assert (found.value, found.reference) == (13, 18)
    assert "Keep it in 8 bits (35.0 dB" in found.action and "NVFP4" in found.action
    (other,) = formats.keep_in_8_bits(planted(nvfp4=np.nan))
    assert "NVFP4" not in other.action


@pytest.mark.parametrize("change", [{"worst": 16.0}, {"share": 9}, {"eight": 20.0}, {"count": 3}])
def test_advice_needs_few_matrices_that_8_bits_help(change):
    assert not list(formats.keep_in_8_bits(planted(**change)))


def test_ties_are_ties_and_tables_count_apart():
    kind = {"rms": 1.0}
    blocks = [
        row | {"nvfp4_sqnr_db": 20.5, "int4_g128_sym_sqnr_db": 18.0}
        for row in layers([20.6] * 3, "nf4_sqnr_db", **kind)
    ]
    table = blocks[0] | {
        "param_name": "embed",
        "block_type": "embedding",
        "finite_count": 6400,
        "nf4_sqnr_db": 20.0,
        "nvfp4_sqnr_db": 20.1,
        "int4_g128_sym_sqnr_db": 15.0,
    }
    (found,) = formats.four_bits(matrices(blocks, [table]))
    assert "NVFP4 (4.5 bits) has the smallest error over the whole model: 20.1 dB" in found.text
    assert "NF4 (4.5 bits) is equal within 0.3 dB" in found.text
    assert "INT4 (4.13 bits) has the largest error: 15.1 dB" in found.text
    assert "18.0 dB without tables of tokens, 15.0 dB in the worst matrix, embed" in found.text
    rows = formats.format_table(matrices(blocks, [table])).set_index("format")
    assert rows.loc["NF4", "layers"] == pytest.approx(20.6)
    assert rows.loc["INT4", "matrix"] == "embed"


def test_a_model_without_tables_has_one_number():
    (found,) = formats.four_bits(matrices(layers([20.6] * 3, "nf4_sqnr_db", rms=1.0)))
    assert "20.6 dB (error 9.3 % of the rms), 20.6 dB in the worst matrix" in plain(found)


def test_dequantized_codes_are_named_by_format():
    rows = layers([4, 4, 8, None], "coded_bits")
    for row, name in zip(rows, ["GGUF Q4_0", "GGUF Q4_0", None, None], strict=True):
        row |= {"coded_format": name}
    (found,) = formats.dequantized(matrices(rows))
    assert "3 of 4 matrices (75.0 % of the weights) look quantized" in plain(found)
    assert "2 with 4 bits (GGUF Q4_0) and 1 with 8 bits." in plain(found)
    assert [place.name for place in found.tensors] == [rows[0]["param_name"], rows[2]["param_name"]]
    assert not list(formats.dequantized(matrices(rows[3:])))


def test_without_measured_errors_nothing_is_said():
    assert not list(formats.format_findings(matrices(layers([1.0] * 9, "rms"))))
