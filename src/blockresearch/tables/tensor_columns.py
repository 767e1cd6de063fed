"""The columns that name a tensor or a matrix and say what it is and how it is stored."""

from blockresearch.tables.column import (
    BITS,
    BYTES,
    ELEMENTS,
    NONE,
    Column,
)

MODEL = Column("model", "string", "name of the model's folder in the results")

PARAM_NAME = Column("param_name", "string", "name of the tensor in the checkpoint", label="tensor")

SLICE = Column(
    "slice",
    "string",
    "part of the tensor, e.g. [3] (an expert), q_proj, [3].gate_proj; delta is the change of a "
    "weight that an adapter makes with this factor and others; empty for the whole tensor",
)

SHARD = Column("shard", "string", "file that contains the tensor")

SHAPE = Column("shape", "integers", "shape as stored, e.g. [151936, 2560]", NONE)

ROWS = Column("rows", "integer", "rows of the matrix", NONE)

COLS = Column("cols", "integer", "columns of the matrix", NONE)

DTYPE = Column("dtype", "string", "stored type, as safetensors names it", label="stored as")

NBYTES = Column("nbytes", "integer", "stored size", BYTES, label="size")

NUMEL = Column(
    "numel", "integer", "number of elements, once unpacked", ELEMENTS, label="parameters"
)

LAYER_INDEX = Column(
    "layer_index",
    "integer",
    "number of the layer within its component, from 0",
    NONE,
    label="layer",
)

BLOCK_TYPE = Column(
    "block_type",
    "string",
    "what it is in the block, e.g. embedding, q_proj, moe, norm",
    label="block type",
)

ATTENTION_OR_EXPERT = Column(
    "role",
    "string",
    "self, cross, indexer or compressor (attention), shared or routed (experts); empty otherwise",
)

COMPONENT = Column(
    "component",
    "string",
    "part of the model: text, vision, audio, projector, encoder, decoder, mtp or adapter",
)

ROLE = (
    COMPONENT,
    Column("projection", "string", "finer name inside the block, e.g. q_norm or gate_proj"),
    ATTENTION_OR_EXPERT,
    Column("expert_index", "integer", "number of the routed expert, from 0", NONE, label="expert"),
    Column("is_bias", "boolean", "true for an additive bias"),
)

STORAGE = (
    Column(
        "quantisation",
        "string",
        "how a quantized weight is stored, e.g. gptq, mxfp4, fp8 block; it is measured dequantized",
    ),
    Column(
        "bits_per_weight",
        "number",
        "stored bits per element, scales and other companions included",
        BITS,
        "8 · stored bytes / elements",
    ),
)
