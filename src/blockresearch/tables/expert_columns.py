"""The columns of the tables experts and expert_pairs."""

from blockresearch.tables.column import NONE, SHARE, WEIGHT, Column, Schema
from blockresearch.tables.tensor_columns import COMPONENT, LAYER_INDEX, MODEL, ROLE

EXPERT_INDEX = next(column for column in ROLE if column.name == "expert_index")

_PLACE = (MODEL, COMPONENT, LAYER_INDEX, EXPERT_INDEX)

_ROBUST = "(x − median) / (1.4826 · median |x − median|) over the experts of the layer"

EXPERTS = Schema(
    "circuits/experts.csv, circuits/experts.parquet",
    "one routed expert of a layer",
    (
        *_PLACE,
        Column("neurons", "integer", "rows of its gate and up projections", NONE),
        Column(
            "expert_norm",
            "number",
            "root of the sum of squares of its matrices",
            WEIGHT,
            "√(‖W_gate‖_F² + ‖W_up‖_F² + ‖W_down‖_F²)",
        ),
        Column(
            "expert_norm_z",
            "number",
            "robust deviations from the median of the layer; missing for fewer than 8 experts",
            NONE,
            _ROBUST,
        ),
        Column("nearest_expert", "integer", "number of the most similar expert of the layer", NONE),
        Column(
            "nearest_similarity",
            "number",
            "its similarity, which no order of the neurons changes: 1 for a duplicate, about 0 "
            "for independent random experts",
            NONE,
            "⟨M, M'⟩ / (‖M‖ ‖M'‖), M = Σ z zᵀ over the neurons without its isotropic part, z: "
            "gate, up and down of a neuron in min(width, 64) random directions",
        ),
        Column(
            "nearest_z",
            "number",
            "robust deviations from the median of all pairs of the layer",
            NONE,
            "(x − median) / (1.4826 · median |x − median|) over the pairs of the layer",
        ),
        Column(
            "shared_similarity",
            "number",
            "similarity to the shared expert of the layer, measured alike; missing without one",
            NONE,
            "⟨M, M_shared⟩ / (‖M‖ ‖M_shared‖)",
        ),
        Column("router_norm", "number", "length of its row of the router", WEIGHT, "‖r‖"),
        Column(
            "router_norm_z",
            "number",
            "robust deviations from the median of the layer",
            NONE,
            _ROBUST,
        ),
        Column(
            "router_cosine",
            "number",
            "largest cosine of its row of the router with another row",
            NONE,
            "max rᵀr' / (‖r‖ ‖r'‖)",
        ),
        Column(
            "router_bias",
            "number",
            "what is added to its score: correction bias, or bias of the router",
            WEIGHT,
            "b",
        ),
        Column(
            "router_bias_z",
            "number",
            "robust deviations from the median of the layer",
            NONE,
            _ROBUST,
        ),
        Column(
            "router_gain",
            "number",
            "gain of its gate in the direction of its row of the router; 1 for a random direction",
            NONE,
            "(‖W_gate r‖² / ‖r‖²) / (‖W_gate‖_F² / width)",
        ),
        Column(
            "router_gain_z",
            "number",
            "robust deviations from the median gain of this gate for all rows of the router",
            NONE,
            "(x − median) / (1.4826 · median |x − median|) over the rows of the router",
        ),
        Column(
            "candidate",
            "string",
            "what points to an expert that does nothing or is never chosen; empty if nothing does",
        ),
    ),
)

EXPERT_PAIRS = Schema(
    "circuits/expert_pairs.csv, circuits/expert_pairs.parquet",
    "one of the four most similar pairs of experts of a layer",
    (
        *_PLACE,
        Column("other_index", "integer", "number of the other expert", NONE),
        Column(
            "similarity",
            "number",
            "similarity that no order of the neurons changes, as nearest_similarity",
            NONE,
            "⟨M, M'⟩ / (‖M‖ ‖M'‖)",
        ),
        Column(
            "similarity_z",
            "number",
            "robust deviations from the median of the layer; missing for fewer than 8 pairs",
            NONE,
            "(x − median) / (1.4826 · median |x − median|) over the pairs of the layer",
        ),
        Column(
            "median_similarity",
            "number",
            "median similarity of all pairs of the layer",
            NONE,
            "median of similarity",
        ),
        Column(
            "aligned_cosine",
            "number",
            "cosine of all elements once the neurons are in the order that fits best, the mean of "
            "gate, up and down; missing for more than 2,048 neurons",
            NONE,
            "mean of ⟨W, W'_π⟩ / (‖W‖ ‖W'‖), π: linear assignment of the neurons by cosine",
        ),
        Column(
            "typical_aligned_cosine",
            "number",
            "the same of pairs of the layer with the usual similarity: above 0 because the order "
            "is chosen",
            NONE,
            "median over up to 4 pairs whose cosine is nearest to median_similarity",
        ),
        Column(
            "moved_neurons",
            "number",
            "share of the neurons that have another place in the other expert",
            SHARE,
            "#{π(i) ≠ i} / neurons",
        ),
        Column("is_duplicate", "boolean", "true from an aligned cosine of 0.99"),
    ),
)
