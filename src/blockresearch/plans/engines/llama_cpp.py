"""llama.cpp: `llama-quantize --tensor-type-file tensor_types.txt model.gguf out.gguf q8_0`.

Lines are `pattern=type`: the pattern is searched in the lower-case name of a GGUF tensor, and the
first that matches wins, so each is anchored. Routed experts are one tensor of a layer in GGUF. The
errors of Q4_K and Q8_0 are no columns: those of INT4 with zero points in groups of 128 and of INT8
by row stand in for them, and are larger, because the blocks of GGUF have 32 weights. MXFP4 in GGUF
has the scale of the specification. Source: tools/quantize/quantize.cpp at 03161a4, gguf 0.19.0.
"""

import re
from collections.abc import Sequence

from blockresearch.plans.engine import KEPT, Assigned, Engine, Format, blocks
from blockresearch.plans.matrices import Matrix

# End of a module's name -> that of the tensor in GGUF.
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "mlp.experts.gate_proj": "ffn_gate_exps",
    "mlp.experts.up_proj": "ffn_up_exps",
    "mlp.experts.down_proj": "ffn_down_exps",
    "block_sparse_moe.experts.w1": "ffn_gate_exps",
    "block_sparse_moe.experts.w2": "ffn_down_exps",
    "block_sparse_moe.experts.w3": "ffn_up_exps",
    "mlp.shared_expert.gate_proj": "ffn_gate_shexp",
    "mlp.shared_expert.up_proj": "ffn_up_shexp",
    "mlp.shared_expert.down_proj": "ffn_down_shexp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp",
    "mlp.shared_experts.up_proj": "ffn_up_shexp",
    "mlp.shared_experts.down_proj": "ffn_down_shexp",
}

TYPES = {"MXFP4": "mxfp4", "Q4_K": "q4_k", "Q8_0": "q8_0"}

# By the bytes of a stored element.
AS_STORED = {1: "f16", 2: "bf16", 4: "f32"}

FORMATS = (
    Format("MXFP4", "mxfp4", lambda m: 17 * blocks(m, 32), 32, True),
    Format("Q4_K", "int4_g128_asym", lambda m: 144 * blocks(m, 256), 256),
    Format("Q8_0", "int8_channel", lambda m: 34 * blocks(m, 32), 32),
)


def gguf_name(matrix: Matrix) -> str | None:
    """The name of its tensor in GGUF; None if it is not one of the names known here."""
    match = re.fullmatch(rf"model\.layers\.{matrix.layer}\.(.*)", matrix.name)
    end = re.sub(r"experts\.\d+\.", "experts.", match[1]) if match else ""
    return f"blk.{matrix.layer}.{NAMES[end]}.weight" if end in NAMES else None


def files(assigned: Assigned, others: Sequence[str]) -> dict[str, str]:
    """`tensor_types.txt`, a line for each tensor."""
    lines = {
        f"^{re.escape(str(gguf_name(matrix)))}$={TYPES.get(name, AS_STORED[matrix.item])}": None
        for name, matrices in assigned.items()
        for matrix in matrices
        if name in TYPES or name == KEPT
    }
    return {"tensor_types.txt": "".join(f"{line}\n" for line in lines)}


ENGINE = Engine("llama.cpp", FORMATS, files, lambda matrix: gguf_name(matrix) is not None)
