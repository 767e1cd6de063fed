"""Which norms stand before, inside and behind attention, MLP and the last layer, and how they are
folded into matrices.

y = W (γ ∘ x + β) is (W diag(γ)) x + W β, and a LayerNorm subtracts the mean of x, which is to
subtract the mean of each row of W diag(γ). Only the division by the norm of x is left out: it is
the same for all heads. Which norm comes before attention is known by its name; models that
normalize after attention have none, because there the scale is part of what is added up.
"""

from collections.abc import Collection

import numpy as np

from blockresearch.arrays.arrays import Array
from blockresearch.model_config import ModelConfig

# Names of norms whose output is what attention reads.
PRE_NORMS = frozenset(
    "input_layernorm ln_1 attention_norm norm1 norm_1 layernorm_before layer_norm1 ln_attn "
    "attn_norm pre_attention_layernorm".split()
)

# Names of norms whose output is what the MLP reads.
PRE_MLP_NORMS = frozenset(
    "pre_feedforward_layernorm pre_mlp_layernorm ffn_norm mlp_norm ln_2 norm2 norm_2 layer_norm2 "
    "layernorm_after ln_mlp".split()
)

# The same if the family normalizes before the MLP.
NAMED_AFTER_MLP = "final_layer_norm"

# Names of the norm behind the last layer.
FINAL_NORMS = frozenset(
    "norm ln_f final_layernorm final_layer_norm layer_norm norm_f final_norm ln_out".split()
)

# The same if the family normalizes before attention; others have the name for a norm behind it.
NAMED_AFTER_ATTENTION = {"self": "self_attn_layer_norm", "cross": "encoder_attn_layer_norm"}

BEFORE = frozenset(
    "whisper mbart pegasus pegasus_x bigbird_pegasus m2m_100 nllb-moe blenderbot xglm "
    "speech_to_text".split()
)

# Families whose ln_1 comes after attention.
AFTER = frozenset({"openai-gpt"})

# Norms without a bias that subtract the mean.
CENTERED = frozenset("cohere cohere2 mpt dbrx modernbert olmo".split())

# Norms of queries and keys.
QUERY_NORMS = ("q_norm", "q_layernorm", "query_layernorm", "q_ln")

KEY_NORMS = ("k_norm", "k_layernorm", "key_layernorm", "k_ln")

# Norms of what attention and MLP write, the first if the layer has one of the third kind.
OUTPUT_NORM, MLP_OUTPUT_NORM = "post_attention_layernorm", "post_feedforward_layernorm"

BESIDE = ("pre_feedforward_layernorm", MLP_OUTPUT_NORM)


def norm_before(names: Collection[str], role: str, facts: ModelConfig) -> str | None:
    """Of the norms of a layer, that whose output attention reads; None if it is not known."""
    named = NAMED_AFTER_ATTENTION[role]
    if named in names:
        is_before = facts.types & BEFORE or facts.flag("do_layer_norm_before")
        return named if is_before else None
    known = sorted(name for name in names if name in PRE_NORMS and role == "self")
    return known[0] if len(known) == 1 and not facts.types & AFTER else None


def norm_before_mlp(names: Collection[str], facts: ModelConfig) -> str | None:
    """Of the norms of a layer, that whose output the MLP reads; None if it is not known.

    If attention and MLP are parallel and share a norm, the layer has no other.
    """
    if NAMED_AFTER_MLP in names:
        is_before = facts.types & BEFORE or facts.flag("do_layer_norm_before")
        return NAMED_AFTER_MLP if is_before else None
    known = sorted(PRE_MLP_NORMS.intersection(names))
    if OUTPUT_NORM in names and not is_output_rescaled(names):
        known.append(OUTPUT_NORM)
    if known:
        return known[0] if len(known) == 1 and not facts.types & AFTER else None
    others = set(names) - PRE_NORMS - {*QUERY_NORMS, *KEY_NORMS}
    return None if others else norm_before(names, "self", facts)


def is_output_rescaled(names: Collection[str]) -> bool:
    """Whether OUTPUT_NORM, of the norms of a layer, stands behind attention."""
    return OUTPUT_NORM in names and any(name in names for name in BESIDE)


def adds_one(facts: ModelConfig, component: str) -> bool:
    """Whether the norms of a component multiply by 1 + weight."""
    return facts.adds_one_to_norms and component in ("text", "mtp")


def is_centered(facts: ModelConfig, beta: np.ndarray | None) -> bool:
    """Whether a norm with the offset `beta` [d] subtracts the mean of what it reads."""
    return beta is not None or bool(facts.types & CENTERED)


def fold(
    matrix: Array,
    bias: np.ndarray,
    gamma: Array,
    beta: np.ndarray | None,
    is_centered: bool,
) -> tuple[Array, np.ndarray]:
    """The matrix [out, in], overwritten, and bias [out] with the norm of their input folded in."""
    bias = bias if beta is None else bias + matrix @ beta
    matrix *= gamma
    if is_centered:
        matrix -= matrix.mean(axis=1, keepdims=True)
    return matrix, bias


def fold_heads(
    heads: np.ndarray, bias: np.ndarray, gamma: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heads [n, size, in], overwritten, and bias [n, size] with the scale of a norm of their
    outputs, of one head or of all of them; unchanged if it has another size."""
    if gamma.size not in (heads.shape[1], bias.size):
        return heads, bias
    own = np.broadcast_to(gamma.reshape(-1, heads.shape[1]), bias.shape)
    heads *= own[:, :, None]
    return heads, bias * own
