"""What heads of a real model do on texts, compared with what their weights predict.

SmolLM2-135M-Instruct reads random tokens that are repeated once. Bounds lie well below what
docs/circuits.md states, which is what was found.
"""

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.circuits import models

# Scores from which a head is said to attend to the position before, or to repeat.
PREVIOUS, INDUCTION = 0.3, 0.3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not models.PYTHON.exists(), reason="make slow installs what runs a model"),
]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory):
    """The folder of the model, and its circuits."""
    folder = tmp_path_factory.mktemp("smollm2")
    model = models.smollm2(folder)
    return model, models.measured(model, folder)


@pytest.fixture(scope="module")
def tables(smollm2):
    """Heads with what they do, and the graph of keys, the largest z first."""
    model, found = smollm2
    heads = found.heads.set_index(["layer_index", "head"])
    for name, scores in models.run("repeated_tokens", model).items():
        heads[name] = [scores[layer][head] for layer, head in heads.index]
    return heads, found.edges[found.edges["part"] == "key"]


def test_weights_predict_what_heads_do(tables):
    heads, _ = tables
    found = {
        (weights, behavior): spearmanr(heads[weights].astype(float), heads[behavior]).statistic
        for weights, behavior in (
            ("copying", "copies"),
            ("slow_energy", "induction"),
            ("slow_energy", "previous"),
            ("qk_symmetry", "duplicate"),
        )
    }
    print(found)
    assert found["copying", "copies"] > 0.45
    assert found["slow_energy", "induction"] > 0.5
    assert found["slow_energy", "previous"] < -0.45
    assert found["qk_symmetry", "duplicate"] > 0.3
    # The score of copying is blind to how later layers change a token before it is read.
    assert heads.loc[(23, 0), "copying"] < 0 < heads.loc[(23, 0), "copies"]


def test_the_graph_finds_induction(tables):
    heads, graph = tables
    previous = heads.index[heads["previous"] > PREVIOUS]
    # Heads of a group share keys, and with them their edges.
    groups = heads.reset_index().groupby(["layer_index", "kv_head"])["induction"].max()
    repeating = groups.index[groups > INDUCTION]
    place = heads["kv_head"]
    pairs = [
        ((edge.from_layer, edge.from_head), (edge.to_layer, place[edge.to_layer, edge.to_head]))
        for edge in graph.itertuples()
    ]
    expected = sum(one[0] < other[0] for one in previous for other in repeating)
    possible = sum(one[0] < other[0] for one in heads.index for other in groups.index)
    found = np.array([one in previous and other in repeating for one, other in pairs])
    print(expected, possible, found[:20].sum(), found.sum())
    assert pairs[0] == ((16, 0), (17, place[17, 3])) and found[0]
    assert found[:20].mean() > 20 * expected / possible
    assert found.mean() > 4 * expected / possible


def test_amplifiers_make_massive_activations(smollm2):
    model, found = smollm2
    written = np.array(models.run("written_by_mlps", model))
    # The channel of each layer with the largest gain, and what its MLP adds there and elsewhere.
    first = found.amplifiers.groupby("layer_index").first()
    added = written[first.index, first["channel"]]
    is_largest = written.argmax(axis=1) == first["channel"]
    bound = first["amplification"].abs() * written.shape[1]
    rank = spearmanr(bound, added).statistic
    print(first.assign(added=added, most=written.argmax(axis=1)).to_string())
    print(is_largest.sum(), rank)
    assert is_largest.sum() > 20 and rank > 0.5
    # The layers that make and remove what all layers between them carry.
    peaks = list(first["over_median"].nlargest(2).index)
    assert peaks == [28, 11] and is_largest[peaks].all()
    assert set(np.argsort(added)[-2:]) == set(peaks)
    # Inputs behind an RMS norm have a length of √d, and gates are not all open.
    assert (added[peaks] < bound[peaks]).all()
