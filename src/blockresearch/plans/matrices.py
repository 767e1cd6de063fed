"""The weight matrices that a plan decides on, and the groups that must share one format.

Engines multiply some matrices at once and store them as one, so these need one format: q, k and v
of an attention block (and the two down projections of MLA), gate and up of an MLP, the input
projections of a linear attention, and all routed experts of a layer (vLLM issues 47473, 31623,
41457, 11354).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import pandas as pd

from blockresearch.tables.schemas import LOW_BIT_FORMATS

# What linear layers of a numbered layer hold. All else stays as it is.
LINEAR = {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "ssm"}

LINEAR |= {"gate_proj", "up_proj", "gate_up_proj", "down_proj", "mlp", "moe"}

# Encoders of pictures and sound are small and sensitive, and tools leave them alone by default.
LEFT_ALONE = frozenset({"vision", "audio", "projector", "adapter"})

# Blocks, or the last word of a name, that share a format with each other below one module.
FUSED = {
    **dict.fromkeys(("q_proj", "k_proj", "v_proj"), "q, k, v"),
    **dict.fromkeys(("gate_proj", "up_proj"), "gate, up"),
    **dict.fromkeys(("q_a_proj", "kv_a_proj_with_mqa"), "q_a, kv_a"),
}


@dataclass(frozen=True)
class Matrix:
    """A stored weight matrix [rows, cols] of a linear layer.

    name       of its module: the parameter's without `.weight`
    group      of the matrices that share its format
    item       bytes of a stored element
    block      its block type
    errors     ‖W − Q(W)‖²/‖W‖² by low-bit format; without those that were not measured
    """

    name: str
    group: str
    layer: int
    block: str
    rows: int
    cols: int
    item: int
    is_expert: bool
    errors: Mapping[str, float]

    @property
    def bytes(self) -> int:
        """Bytes as stored."""
        return self.rows * self.cols * self.item


def linear_matrices(params: pd.DataFrame, matrices: pd.DataFrame) -> list[Matrix]:
    """The matrices of the linear layers that are stored as such, in the order of the table.

    `params` and `matrices` are the tables of those names.
    """
    errors = _errors(matrices)
    return [
        Matrix(
            name=_module(row["param_name"]),
            group=_group(row),
            layer=int(row["layer_index"]),
            block=row["block_type"],
            rows=int(row["rows"]),
            cols=int(row["cols"]),
            item=int(row["nbytes"]) // int(row["numel"]),
            is_expert=row["role"] == "routed",
            errors=errors[row["param_name"]],
        )
        for row in params.to_dict("records")
        if reason_to_keep(row) is None
    ]


def reason_to_keep(row: Mapping[str, Any]) -> str | None:
    """Why a row of `params` is no matrix that a plan decides on; None if it is one."""
    if row["component"] in LEFT_ALONE or pd.isna(row["layer_index"]):
        return "outside of the layers of the language model"
    if row["block_type"] not in LINEAR or row["is_bias"]:
        return "no linear layer"
    if not pd.isna(row["quantisation"]):
        return "quantized already"
    if len(row["shape"]) != 2 or not str(row["param_name"]).endswith(".weight"):
        return "several matrices in one tensor, which tools do not find by the name of a module"
    return None


def grouped(matrices: Iterable[Matrix]) -> dict[str, list[Matrix]]:
    """The matrices by group, in order."""
    result: dict[str, list[Matrix]] = {}
    for matrix in matrices:
        result.setdefault(matrix.group, []).append(matrix)
    return result


def patterns(matrices: Iterable[Matrix]) -> list[str]:
    """Regular expressions, without anchors, that match exactly the names of these modules.

    Layers become an alternative; all experts of a layer share a format, so their number is free.
    """
    found: dict[tuple[str, str], set[int]] = {}
    literal = set()
    for matrix in matrices:
        match = re.fullmatch(rf"(.*?\.){matrix.layer}(\..*)", matrix.name)
        if match is None:
            literal.add(re.escape(matrix.name))
            continue
        before, after = map(re.escape, match.groups())
        if matrix.is_expert:
            after = re.sub(r"\\\.\d+\\\.", r"\\.\\d+\\.", after, count=1)
        found.setdefault((before, after), set()).add(matrix.layer)
    merged = [f"{before}{_numbers(layers)}{after}" for (before, after), layers in found.items()]
    return sorted(merged) + sorted(literal)


def common_name(names: Sequence[str]) -> str:
    """The modules in a few words: `model.layers.0.mlp: gate_proj, up_proj`."""
    if len(names) == 1:
        return names[0]
    first, last = (name.split(".") for name in (min(names), max(names)))
    shared = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    start = ".".join(word for word, _ in shared)
    ends = [name[len(start) + 1 :] for name in names]
    return f"{start}: {', '.join(ends) if len(ends) < 4 else f'{len(ends)} matrices'}"


def _numbers(layers: set[int]) -> str:
    words = [str(layer) for layer in sorted(layers)]
    return words[0] if len(words) == 1 else f"({'|'.join(words)})"


def _module(parameter: str) -> str:
    return parameter.removesuffix(".weight")


def _group(row: Mapping[str, Any]) -> str:
    name = _module(str(row["param_name"]))
    parent, _, leaf = name.rpartition(".")
    if row["role"] == "routed":
        return f"{row['component']} {row['layer_index']} experts"
    if leaf.startswith("in_proj"):
        return f"{parent} in_proj"
    fused = FUSED.get(leaf) or FUSED.get(str(row["block_type"]))
    return f"{parent} {fused}" if fused else name


def _errors(matrices: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Relative squared errors of each stored tensor, summed over the matrices in it."""
    energy = matrices["rms"].astype(float) ** 2 * matrices["numel"].astype(float)
    total = energy.groupby(matrices["param_name"]).sum()
    result: dict[str, dict[str, float]] = {name: {} for name in matrices["param_name"]}
    for name in LOW_BIT_FORMATS:
        ratio = 10 ** (-matrices[f"{name}_sqnr_db"].astype(float) / 10)
        lost = (energy * ratio).groupby(matrices["param_name"]).sum(min_count=1) / total
        for parameter, error in lost.dropna().items():
            result[parameter][name] = float(error)
    return result
