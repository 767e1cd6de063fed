"""How a stored tensor becomes matrices, and which tensors are not read as weights at all.

A tensor has one of these layouts:

    matrix    one matrix: 2-D as stored, more dimensions as [shape[0], product of the rest]
    experts   a stack [experts, rows, cols] of routed experts: one matrix per expert
    values    no matrix (norms, biases, scalars): its values are measured, its spectrum undefined
    buffer, companion, unsupported    not measured; coverage.csv says why
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workflow.lib.dtypes import DTYPES
from workflow.lib.name_parts import is_unlearned
from workflow.lib.naming import Role

MEASURED = ("matrix", "experts", "values")

# Storage of a packed or scaled quantised weight: suffix of the stored tensor that holds codes,
# and suffixes of the companions that are needed to read it.
QUANTISED = {
    ".qweight": (".qzeros", ".scales", ".g_idx"),
    ".weight_packed": (".weight_scale", ".weight_shape", ".weight_global_scale"),
    "_blocks": ("_scales",),
    ".weight": (
        ".weight_scale",
        ".weight_scale_inv",
        ".weight_scale_2",
        ".weight.absmax",
        ".weight.quant_map",
        ".weight.nested_absmax",
        ".weight.nested_quant_map",
        ".weight.quant_state.bitsandbytes__nf4",
        ".weight.quant_state.bitsandbytes__fp4",
        ".SCB",
        ".weight_format",
        ".scales",
        ".biases",
    ),
}
ALWAYS_COMPANIONS = (
    ".input_scale",
    ".activation_scale",
    ".input_global_scale",
    ".k_scale",
    ".v_scale",
    ".weight_zero_point",
    ".weight_g_idx",
    ".output_scale",
)


@dataclass(frozen=True)
class Layout:
    """What a stored tensor is to the program; `reason` says why it is not measured."""

    kind: str
    reason: str = ""


@dataclass(frozen=True)
class Matrix:
    """One matrix inside a tensor: `slice` names it, `first` is the index of its first element."""

    slice: str
    first: int
    rows: int
    cols: int


def layouts(
    tensors: Iterable[tuple[str, tuple[int, ...], str]], roles: Mapping[str, Role]
) -> dict[str, Layout]:
    """Layout of every tensor (name, shape, dtype) of a checkpoint.

    Quantised storage is recognised by names and types: a tensor of codes with the companions that
    its format needs. It is reported as unsupported, because statistics of raw codes would be
    meaningless.
    """
    tensors = list(tensors)
    names = {name for name, _, _ in tensors}
    result = {}
    for name, shape, dtype in tensors:
        owner = _owner(name, names)
        if owner:
            result[name] = Layout("companion", f"needed to read the quantised {owner}")
        elif any(
            name.removesuffix(codes) + tail in names
            for codes, tails in QUANTISED.items()
            if name.endswith(codes)
            for tail in tails
        ):
            result[name] = Layout(
                "unsupported", f"quantised storage ({dtype} codes with scales) is not decoded"
            )
        elif is_unlearned(name.rpartition(".")[2], len(shape)):
            result[name] = Layout("buffer", "not a learned weight")
        else:
            result[name] = Layout(_kind(shape, dtype, roles[name]))
    return result


def _owner(name: str, names: set[str]) -> str | None:
    for codes, tails in QUANTISED.items():
        for tail in tails:
            if name.endswith(tail) and (owner := name.removesuffix(tail) + codes) in names - {name}:
                return owner
    for tail in ALWAYS_COMPANIONS:
        if name.endswith(tail):
            return name.removesuffix(tail)
    return None


def _kind(shape: tuple[int, ...], dtype: str, role: Role) -> str:
    if len(shape) < 2 or math.prod(shape) == 0 or DTYPES[dtype].kind in ("bool", "complex"):
        return "values"
    if len(shape) == 3 and role.block_type == "moe":
        return "experts"
    return "matrix"


def view(shape: tuple[int, ...], layout: str) -> tuple[int, int]:
    """(rows, cols) of the 2-D view of a whole tensor.

    A scalar is 1 x 1, a vector 1 x n, a matrix itself, a kernel [out, in, ...] is out x product,
    a stack of experts [experts, rows, cols] is experts·rows x cols.
    """
    if len(shape) < 2:
        return 1, math.prod(shape)
    if layout == "experts":
        return shape[0] * shape[1], shape[2]
    return shape[0], math.prod(shape[1:])


def matrices(shape: tuple[int, ...], layout: str) -> tuple[Matrix, ...]:
    """The matrices in a tensor of `shape` with `layout`, in the order of their data."""
    if layout == "matrix":
        return (Matrix("", 0, *view(shape, layout)),)
    if layout == "experts":
        count, rows, cols = shape
        return tuple(Matrix(f"[{i}]", i * rows * cols, rows, cols) for i in range(count))
    return ()
