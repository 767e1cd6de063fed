"""AutoRound: `layer_config.json`, for `AutoRound(model, layer_config=json.load(…))`.

A plain name matches anywhere in a name there, so each key is anchored. AutoRound escapes every dot
of a key itself, also one that is escaped already, so dots stay bare. Integer weights need sides
that are multiples of 32. AutoRound learns how to round: its errors of weights are larger than those
of plain rounding. Source: auto-round 0.15.1 and 0.16.1, `to_standard_regex`.
"""

import json
from collections.abc import Sequence

from blockresearch.plans.engine import KEPT, Assigned, Engine, Format, blocks
from blockresearch.plans.engines.gptqmodel import size
from blockresearch.plans.matrices import Matrix, patterns

SETTINGS = {
    "INT8": {"bits": 8, "group_size": -1, "sym": True, "data_type": "int"},
    "INT4": {"bits": 4, "group_size": 128, "sym": True, "data_type": "int"},
    "INT4_ASYM": {"bits": 4, "group_size": 128, "sym": False, "data_type": "int"},
    "MXFP4": {"bits": 4, "group_size": 32, "sym": True, "data_type": "mx_fp"},
    "NVFP4": {"bits": 4, "group_size": 16, "sym": True, "data_type": "nv_fp"},
    KEPT: {"bits": 16, "data_type": "float"},
}

ESCAPED = r"\."

FORMATS = (
    Format("INT8", "int8_channel", lambda m: size(m, 8, None), 32),
    Format("INT4", "int4_g128_sym", lambda m: size(m, 4, 128), 128),
    Format("INT4_ASYM", "int4_g128_asym", lambda m: size(m, 4, 128), 128),
    Format("NVFP4", "nvfp4", lambda m: blocks(m, 2) + blocks(m, 16) + 4, 32),
    Format("MXFP4", "mxfp4", lambda m: blocks(m, 2) + blocks(m, 32), 32),
)


def takes(matrix: Matrix) -> bool:
    """Whether both sides are multiples of 32; AutoRound leaves others in 16 bits."""
    return matrix.rows % 32 == 0 and matrix.cols % 32 == 0


def files(assigned: Assigned, others: Sequence[str]) -> dict[str, str]:
    """`layer_config.json`: a setting by pattern."""
    config = {
        f"^{pattern.replace(ESCAPED, '.')}$": SETTINGS[name]
        for name, matrices in assigned.items()
        for pattern in patterns(matrices)
    }
    return {"layer_config.json": json.dumps(config, indent=1) + "\n"}


ENGINE = Engine("auto-round", FORMATS, files, takes)
