"""torchao: `fqn_to_config.json`, a `FqnToConfig` as its `core.config.config_from_dict` reads it.

Patterns behind `re:` match a whole name, the first one wins. Modules without a pattern stay.
Source: torchao 0.18.0.
"""

import json
from collections.abc import Sequence
from typing import Any

from blockresearch.plans.engine import Assigned, Engine, Format
from blockresearch.plans.matrices import patterns


def _typed(name: str, version: int, **data: Any) -> dict[str, Any]:
    return {"_type": name, "_version": version, "_data": data}


PER_ROW = _typed("PerRow", 1, dim=-1)

CONFIGS = {
    "INT8": _typed(
        "Int8WeightOnlyConfig", 2, group_size=None, granularity=PER_ROW, set_inductor_config=True
    ),
    "INT4_ASYM": _typed("Int4WeightOnlyConfig", 2, group_size=128, set_inductor_config=True),
    "FP8": _typed(
        "Float8WeightOnlyConfig",
        2,
        weight_dtype={"_type": "torch.dtype", "_data": "float8_e4m3fn"},
        set_inductor_config=True,
        granularity=PER_ROW,
    ),
}

FORMATS = (
    Format("INT8", "int8_channel", lambda m: m.rows * m.cols + m.item * m.rows),
    Format(
        "INT4_ASYM",
        "int4_g128_asym",
        lambda m: m.rows * m.cols // 2 + 2 * m.item * m.rows * (m.cols // 128),
        128,
    ),
    Format("FP8", "fp8_channel", lambda m: m.rows * m.cols + 4 * m.rows),
)


def files(assigned: Assigned, others: Sequence[str]) -> dict[str, str]:
    """`fqn_to_config.json`."""
    chosen = {
        f"re:{pattern}": config
        for name, config in CONFIGS.items()
        for pattern in patterns(assigned.get(name, ()))
    }
    text = json.dumps(_typed("FqnToConfig", 1, fqn_to_config=chosen), indent=1)
    return {"fqn_to_config.json": text + "\n"}


ENGINE = Engine("torchao", FORMATS, files)
