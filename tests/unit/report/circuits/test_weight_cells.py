"""The cells of report 25 about single weights and tails: what is planted first, none without."""

import pytest

from blockresearch.report.circuits import weight_cells
from blockresearch.tables.io import frame

NAME = "model.layers.{}.mlp.down_proj.weight"


def outlier(layer, **values):
    place = {"param_name": NAME.format(layer), "layer_index": layer, "component": "text"}
    numbers = {"row": 1, "col": 2, "value": -3.5, "over_rms": 50.0, "over_normal": 9.0}
    recurring = {"channel": 7, "channel_layers": 5, "channel_log10_p": -8.0}
    return place | numbers | recurring | {"is_super_weight": False} | values


def tail(layer, block, alpha):
    place = {"param_name": f"{block}.{layer}", "layer_index": layer, "component": "text"}
    numbers = {"block_type": block, "alpha_square": alpha, "alpha_permuted": 2.1, "alpha_p": 0.5}
    return place | numbers


def body(html):
    return html.partition("<tbody>")[2]


def test_candidates_for_super_weights_come_first():
    rows = [outlier(0), outlier(1, is_super_weight=True, over_normal=4.0), outlier(2)]
    found = weight_cells.largest(frame(rows, "outliers"))
    assert NAME.format(1) in body(found.html).partition("</tr>")[0]


def test_published_super_weights_are_compared():
    place = {"row": 1764, "is_super_weight": True}
    one = outlier(1, **place, col=1710)
    for rows, text in (
        ([one, outlier(2, **place, col=8041)], "2 are among the candidates."),
        ([one], "Not among them, as layer, row, column: 2, 1764, 8041."),
        ([one | {"is_super_weight": False}], " 0 are among"),
    ):
        found = weight_cells.published(frame(rows, "outliers"), "results/allenai--OLMo-1B-0724-hf")
        assert found.text.startswith("Of 2 published super weights of OLMo-1B-0724-hf")
        assert text in found.text
    assert weight_cells.published(frame([one], "outliers"), "results/local--demo") is None


def test_channels_that_recur_are_listed_once():
    rows = [outlier(0), outlier(1), outlier(2, channel=9, channel_log10_p=-0.5)]
    first = body(weight_cells.channels(frame(rows, "outliers")).html)
    assert first.count("<tr>") == 1 and "<td>7</td><td>5</td><td>−8.00</td><td>2</td>" in first


def test_heaviest_tails_come_first():
    rows = [tail(0, "up_proj", 2.0), tail(0, "q_proj", 1.5), tail(1, "q_proj", 1.7)]
    tails = frame(rows, "heavy_tails")
    found = body(weight_cells.tails(tails).html)
    assert found.index("q_proj") < found.index("up_proj") and "1.60" in found
    html = weight_cells.tail_map(tails).live
    assert "exponent of square windows by layer and kind of matrix" in html


def test_experts_have_kinds_and_their_sample_is_stated():
    def expert(number, total):
        place = tail(0, "moe", 1.9) | {"projection": "up_proj", "role": "routed"}
        return place | {"expert_index": number, "layer_experts": total}

    tails = frame([tail(0, "q_proj", 1.5), expert(0, 64), expert(63, 64)], "heavy_tails")
    assert ">up_proj<" in weight_cells.tails(tails).html
    assert "Of 64 routed experts of a layer 2 were" in weight_cells.about_tails(tails).text
    every = frame([expert(0, 2), expert(1, 2)], "heavy_tails")
    assert "routed" not in weight_cells.about_tails(every).text


def test_the_strongest_amplifier_comes_first():
    place = {"component": "text", "channel": 7, "neuron": 3, "neuron_share": 0.9}
    rows = [place | {"layer_index": n, "over_median": gain} for n, gain in enumerate((2, 40, 3))]
    found = frame(rows, "amplifiers")
    first = body(weight_cells.amplifiers(found).html).partition("</tr>")[0]
    assert "<td>1</td><td>7</td><td>40.00</td>" in first and "90" in first
    assert "only a run shows" in weight_cells.about_amplifiers(found).text


@pytest.mark.parametrize("rows", [[], [tail(0, "up_proj", None)]])
def test_without_numbers_nothing_is_shown(rows):
    none = frame(rows, "heavy_tails")
    shown = (weight_cells.tails(none), weight_cells.about_tails(none))
    assert shown == (None, None)
    assert weight_cells.channels(frame([], "outliers")) is None
    assert weight_cells.amplifiers(frame([], "amplifiers")) is None
    assert weight_cells.about_amplifiers(frame([], "amplifiers")) is None
    assert weight_cells.largest(frame([], "outliers")).text.startswith("No weight is 3 times")
