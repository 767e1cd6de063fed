"""GPTQModel, whose models vLLM and SGLang load: `quantize_config.json` with `dynamic`.

Keys of `dynamic` are regular expressions, `-:` in front leaves a module as it is, and the first
that matches wins. The scales are those of plain rounding, but GPTQ then moves the errors of weights
to where they cost least in the outputs: its errors of weights are larger. Transformers ignores
`dynamic`. Source: GPTQModel 7.7.0.
"""

import json
from collections.abc import Sequence
from typing import Any

from blockresearch.plans.engine import KEPT, Assigned, Engine, Format
from blockresearch.plans.matrices import Matrix, patterns


def size(matrix: Matrix, bits: int, group: int | None) -> int:
    """Bytes of qweight, scales (2 bytes), qzeros and g_idx."""
    groups = 1 if group is None else matrix.cols // group
    codes = matrix.rows * matrix.cols * bits // 8
    return codes + groups * matrix.rows * 2 + groups * matrix.rows * bits // 8 + 4 * matrix.cols


def _setting(bits: int, group: int, sym: bool) -> dict[str, Any]:
    return {"bits": bits, "group_size": group, "sym": sym, "desc_act": False}


SETTINGS = {
    "INT8": _setting(8, -1, True),
    "INT4": _setting(4, 128, True),
    "INT4_ASYM": _setting(4, 128, False),
}

FORMATS = (
    Format("INT8", "int8_channel", lambda m: size(m, 8, None), 4),
    Format("INT4", "int4_g128_sym", lambda m: size(m, 4, 128), 128),
    Format("INT4_ASYM", "int4_g128_asym", lambda m: size(m, 4, 128), 128),
)


def files(assigned: Assigned, others: Sequence[str]) -> dict[str, str]:
    """`quantize_config.json`: the format of most matrices, and what differs from it."""
    used = {name: matrices for name, matrices in assigned.items() if name in SETTINGS}
    base = max(used, key=lambda name: len(used[name]))
    dynamic: dict[str, dict[str, Any]] = {
        f"-:^{pattern}$": {} for pattern in patterns(assigned.get(KEPT, ()))
    }
    for name, matrices in used.items():
        if name != base:
            dynamic |= {f"+:^{pattern}$": SETTINGS[name] for pattern in patterns(matrices)}
    config = {**SETTINGS[base], "quant_method": "gptq", "dynamic": dynamic}
    return {"quantize_config.json": json.dumps(config, indent=1) + "\n"}


ENGINE = Engine("gptqmodel", FORMATS, files)
