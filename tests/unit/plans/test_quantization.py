"""The quantization plan of tables with errors that are set."""

from itertools import pairwise

import pytest

from blockresearch.plans.plan import PlanError
from blockresearch.plans.quantization import Settings, quantization_plan, read_weights
from tests.unit.plans.examples import size, tables

ENGINE = "compressed-tensors"


def plan(settings, **more):
    params, matrices = tables(**more)
    return quantization_plan(params, matrices, size(params), settings)


def formats(made):
    return {m["name"].removeprefix("model.layers."): m["format"] for m in made.record["matrices"]}


def test_the_budget_is_met_and_groups_share_a_format():
    made = plan(Settings(ENGINE, bits=5.5, formats=("INT8", "INT4", "NVFP4")))
    found = formats(made)
    assert 5 < made.record["predicted"]["bits"] <= 5.5
    for layer in range(3):
        for group in (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj")):
            part = "mlp" if "up_proj" in group else "self_attn"
            assert len({found[f"{layer}.{part}.{name}"] for name in group}) == 1
    # The layer that loses most gets the bits.
    assert found["0.self_attn.q_proj"] == "INT8"


def test_bytes_are_those_of_the_whole_checkpoint():
    params, _ = tables()
    made = plan(Settings(ENGINE, bytes=size(params) // 2))
    assert made.record["predicted"]["bytes"] <= size(params) // 2
    rest = size(params) - sum(2 * rows * cols for rows, cols in _shapes(params))
    assert made.record["predicted"]["bytes"] == rest + sum(
        m["bytes"] for m in made.record["matrices"]
    )


def _shapes(params):
    linear = params[params["layer_index"].notna()]
    return zip(linear["rows"], linear["cols"], strict=True)


def test_the_curve_ends_without_loss():
    curve = plan(Settings(ENGINE)).record["curve"]
    assert curve[-1]["error"] == pytest.approx(0, abs=1e-9)
    assert curve[-1]["bits"] == 16
    assert all(one["error"] > two["error"] for one, two in pairwise(curve))


def test_what_is_protected_stays_with_its_group():
    protect = ("last_layer", "model.layers.1.self_attn.k_proj.weight")
    found = formats(plan(Settings(ENGINE, bits=9, protect=protect)))
    kept = {name for name, format in found.items() if format == "kept"}
    assert kept == {f"1.self_attn.{x}_proj" for x in "qkv"} | {n for n in found if n[0] == "2"}


def test_measured_weights_move_the_bits():
    params, _ = tables()
    names = [n.removesuffix(".weight") for n in params["param_name"] if "layers" in n]
    weights = {name: 1000.0 if ".2.mlp.down" in name else 1.0 for name in names}
    settings = Settings(ENGINE, bits=5, formats=("INT8", "NVFP4"), weights=weights)
    assert formats(plan(settings))["2.mlp.down_proj"] == "INT8"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"bits": 3.0}, "bits: these formats need at least 4.127 bits"),
        ({"bytes": 1000}, "bytes: these formats need at least"),
        ({"formats": ("Q4_K",)}, "formats: compressed-tensors has no format Q4_K here"),
        ({"protect": ("lm_head",)}, "protect: lm_head is no matrix that the plan quantizes"),
        ({"weights": {"a": 1.0}}, "sensitivity: 21 matrices have no weight"),
    ],
)
def test_a_wrong_setting_is_one_sentence(settings, sentence):
    with pytest.raises(PlanError, match=sentence):
        plan(Settings(ENGINE, **settings))


def test_a_file_of_weights_is_read_strictly(tmp_path):
    file = tmp_path / "alpha.csv"
    file.write_text("name,weight\na.weight,2\nb,0.5\n")
    assert read_weights(file) == {"a": 2.0, "b": 0.5}
    for text in ("name\na\n", "name,weight\na,nan\n", "name,weight\na\n"):
        file.write_text(text)
        with pytest.raises(PlanError, match="sensitivity"):
            read_weights(file)


def test_a_model_that_is_quantized_has_a_reason():
    made = plan(Settings(ENGINE), quantisation="GPTQ int4")
    assert made.record["reason"]
    assert not made.files
    assert set(made.record["kept"]) >= {"quantized already"}
