"""The low-bit formats, the columns of their rounding errors, and what points to codes.

In the formulas, W is a matrix with elements w and Q rounds to the format.
"""

from blockresearch.tables.column import (
    DECIBEL,
    ELEMENTS,
    NONE,
    WEIGHT,
    Column,
    LowBitFormat,
)
from blockresearch.tables.sources import (
    AWQ,
    FP8,
    GPTQ,
    NVFP4,
    OCP,
    QLORA,
)

LOW_BIT_FORMATS = (
    LowBitFormat(
        "int8_channel",
        "INT8 by row",
        8.0,
        "int8 with a scale per row",
        "the rule of compressed-tensors",
    ),
    LowBitFormat("int4_g128_sym", "INT4", 4.13, "symmetric int4 in groups of 128", GPTQ),
    LowBitFormat(
        "int4_g128_asym", "INT4, zero points", 4.16, "int4 with zero points in groups of 128", AWQ
    ),
    LowBitFormat("nf4", "NF4", 4.5, "NF4 in blocks of 64", QLORA),
    LowBitFormat("fp8_tensor", "FP8, one scale", 8.0, "FP8 E4M3 with one scale", FP8),
    LowBitFormat("fp8_channel", "FP8 by row", 8.0, "FP8 E4M3 with a scale per row", FP8),
    LowBitFormat("mxfp4", "MXFP4", 4.25, "MXFP4 (E2M1, power-of-two scales of 32)", OCP),
    LowBitFormat("nvfp4", "NVFP4", 4.5, "NVFP4 (E2M1, E4M3 scales of 16)", NVFP4),
)

ROUNDING = tuple(
    column
    for each in LOW_BIT_FORMATS
    for column in (
        Column(
            f"{each.name}_sqnr_db",
            "number",
            f"signal to rounding error of {each.meaning}",
            DECIBEL,
            "20 log₁₀(‖W‖_F / ‖W − Q(W)‖_F)",
            each.source,
            f"{each.label}: signal / rounding error",
        ),
        Column(
            f"{each.name}_max_error",
            "number",
            f"largest rounding error of {each.meaning}",
            WEIGHT,
            "max |w − Q(w)|",
            each.source,
        ),
    )
)

# What weights that were stored without codes look like; missing if they look like weights.
CODED = (
    Column(
        "coded_bits",
        "integer",
        "bits of the codes that the weights seem to have been before they were dequantized: few "
        "different values in aligned groups; missing if nothing points to codes",
        NONE,
    ),
    Column(
        "coded_group",
        "integer",
        "weights along a row that share a scale of these codes; missing for whole rows",
        ELEMENTS,
    ),
    Column("coded_format", "string", "formats that store such codes, e.g. GGUF Q8_0"),
)
