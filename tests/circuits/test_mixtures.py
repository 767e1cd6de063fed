"""A whole mixture of experts: each thing that is planted is found, and nothing else."""

import numpy as np
import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.circuits.directions import read_directions
from blockresearch.circuits.part import TABLES, measure_layers, part_file
from blockresearch.report.circuits import expert_cells
from blockresearch.tables.io import read_table
from tests.cases import mixtures


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The tables of a part, and the leading directions."""
    folder = tmp_path_factory.mktemp("mixture")
    model = mixtures.write(folder / "model")
    manifest = describe_folder(str(model), "2026-01-01T00:00:00Z", hashed=False)
    files = {file.path: manifest.path_of(file.path, "") for file in manifest.shards}
    # The layers with something planted.
    measure_layers(manifest, files, [("text", 1), ("text", 2)], folder / "1", ["key"])
    tables = {name: read_table(part_file(folder / "1", f"{name}.parquet"), name) for name in TABLES}
    return tables, read_directions(folder / "1.directions.npz")


def test_two_heads_copy_or_suppress(measured):
    heads = measured[0]["attention_heads"].set_index(["layer_index", "head"])
    clear = heads[heads["copying_z"].abs() >= 6]
    assert set(clear.index) == {mixtures.COPYING, mixtures.SUPPRESSING}
    assert heads.loc[mixtures.COPYING, "copying"] == pytest.approx(1)
    assert heads.loc[mixtures.SUPPRESSING, "copying"] == pytest.approx(-1)
    assert heads["is_normalized"].all() and heads["missing"].isna().all()


def test_a_copying_head_writes_what_it_reads(measured):
    layer, head = mixtures.COPYING
    sides = {
        each.row["side"]: each.vector
        for each in measured[1]
        if (each.row["layer_index"], each.row.get("head")) == (layer, head)
        if each.row["circuit"] == "OV" and each.row["direction"] == 0
    }
    assert sides["read"] @ sides["write"] == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(sides["read"]) == pytest.approx(1, abs=1e-5)


def test_one_expert_is_there_twice_and_one_looks_dead(measured):
    experts, pairs = measured[0]["experts"], measured[0]["expert_pairs"]
    layer, source, target = mixtures.DUPLICATE
    (twice,) = pairs[pairs["is_duplicate"].astype(bool)].to_dict("records")
    assert (twice["layer_index"], twice["expert_index"], twice["other_index"]) == (
        *(layer, source, target),
    )
    assert twice["moved_neurons"] > 0.9
    dead = experts[experts["candidate"].notna()]
    assert dead[["layer_index", "expert_index"]].to_numpy().tolist() == [list(mixtures.DEAD)]
    text = expert_cells.unusual(experts, pairs)
    assert "their neurons: 1." in text and "never chosen: 1." in text


def test_every_expert_has_exponents_of_noise(measured):
    tails = measured[0]["heavy_tails"]
    routed = tails[tails["role"] == "routed"]
    assert len(routed) == 2 * 3 * mixtures.EXPERTS
    assert set(routed["layer_experts"]) == {mixtures.EXPERTS}
    medians = routed.groupby("projection")["alpha_square"].median()
    assert medians.between(2.05, 2.15).all() and len(medians) == 3
