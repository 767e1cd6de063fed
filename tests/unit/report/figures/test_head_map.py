"""The maps of attention heads: a column for each head, its values, and none without heads."""

from blockresearch.language.catalogue import set_language, translated
from blockresearch.report.figures.head_map import head_map, heads_by_layer
from blockresearch.tables.io import frame


def head(layer, number, role="self", component="text", **values):
    place = {"component": component, "layer_index": layer, "role": role, "head": number}
    return place | {"head_size": 4, "qk_effective_rank": 2.0, "ov_effective_rank": 4.0} | values


def test_heads_stand_beside_each_other():
    rows = [head(layer, number, copying=number / 20) for layer in (0, 1) for number in range(11)]
    drawn = heads_by_layer(frame(rows, "attention_heads"))
    assert [column["label"] for column in drawn["columns"]] == [f"head {n}" for n in range(11)]
    assert drawn["cells"]["layer"] == [0, 1] * 11 and drawn["color"] == "value"
    assert drawn["middle"]["copying"] == [number / 20 for number in range(11) for _ in (0, 1)]
    assert set(drawn["middle"]["qk_share"]) == {0.5} and set(drawn["middle"]["ov_share"]) == {1}
    assert [metric["key"] for metric in drawn["metrics"]] == ["copying", "qk_share", "ov_share"]


def test_self_and_cross_attention_are_apart():
    rows = [head(0, 0), head(0, 0, "self", "decoder"), head(0, 0, "cross", "decoder")]
    drawn = heads_by_layer(frame(rows, "attention_heads"))
    found = [(drawn["components"][c["component"]], c["label"]) for c in drawn["columns"]]
    assert sorted(found) == [
        ("decoder", "cross head 0"),
        ("decoder", "self head 0"),
        ("text", "self head 0"),
    ]


def test_the_static_map_names_heads():
    rows = [head(0, 0, copying=0.5), head(1, 0, copying=-0.5)]
    found = head_map(frame(rows, "attention_heads"), ["copying"])
    assert "copying score by layer and head" in found.html


def test_heads_are_named_in_the_language_of_the_page():
    try:
        set_language("both")
        rows = [head(0, 0, copying=0.5), head(0, 0, "cross", copying=0.5)]
        table = frame(rows, "attention_heads")
        assert "自注意力头 0" in head_map(table, ["copying"]).html
        columns = heads_by_layer(table)["columns"]
    finally:
        set_language("en")
    assert [translated(each["label"], "zh") for each in columns] == [
        "交叉注意力头 0",
        "自注意力头 0",
    ]


def test_a_model_without_heads_has_no_map():
    assert head_map(frame([], "attention_heads"), ["copying"]) is None
