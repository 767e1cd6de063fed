"""How a stored tensor becomes matrices, and which tensors are not read as weights at all.

A tensor has one of these layouts:

    matrix    one matrix: 2-D as stored, more dimensions as [shape[0], product of the rest]
    experts   a stack of routed experts: one matrix per expert
    values    no matrix (norms, biases, scalars): its values are measured, its spectrum undefined
    buffer, companion, unsupported    not measured; coverage.csv gives the reason

A matrix or an expert may be stored [in, out] (`transposed`), and its rows may be those of several
projections (`pieces`): then each of them is a separate matrix, [out, in] as the model multiplies. A
quantized weight has a `scheme`, and everything here refers to its logical shape.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from blockresearch.model_config import ModelConfig
from blockresearch.naming.roles import Role
from blockresearch.naming.template import is_unlearned
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.weights.fused import Piece, conv1d, gate_up_pieces, qkv_pieces, stack_order
from blockresearch.weights.quantized.recognize import recognize
from blockresearch.weights.quantized.scheme import ReadSmall, Scheme

MEASURED = ("matrix", "experts", "values")

# No published model stacks as many; each costs milliseconds, however small it is.
MAX_EXPERTS = 4096

# Size of the buffer for a transposed matrix: as many columns of the file as fit.
TRANSPOSED_BYTES = 128 * 1024**2


@dataclass(frozen=True, slots=True)
class Layout:
    """How a stored tensor is read.

    kind         matrix, experts, values, buffer, companion or unsupported (see above)
    reason       why it is not measured, or a note
    transposed   stored [in, out]
    pieces       parts of a fused projection, by rows of the matrix [out, in]
    experts      number of experts if the shape alone does not give it
    scheme       how a quantized weight is stored
    """

    kind: str
    reason: str = ""
    transposed: bool = False
    pieces: tuple[Piece, ...] = ()
    experts: int | None = None
    scheme: Scheme | None = None

    @property
    def is_measured(self) -> bool:
        """Whether the tensor is read as a weight."""
        return self.kind in MEASURED

    @property
    def is_encoded(self) -> bool:
        """Whether the stored elements are codes, decoded or not."""
        return self.scheme is not None or self.kind == "unsupported"


@dataclass(frozen=True, slots=True)
class Matrix:
    """One matrix [rows, cols] inside a tensor, as a view on its elements in the file's order.

    `expert` is its number in a stack, `piece` its part of a fused projection (or `delta`, the
    change that an adapter makes). `first` is the index of its first element. Row i starts at the
    element given by `steps` (see `fused.Piece`); () means that rows follow each other. From one
    element of a row to the next it is `stride` elements: 1, or the length of a stored row in a
    transposed matrix.
    """

    rows: int
    cols: int
    first: int = 0
    steps: tuple[tuple[int, int], ...] = ()
    stride: int = 1
    expert: int | None = None
    piece: str = ""

    @property
    def slice(self) -> str:
        """Name of the matrix in its tensor: "" for the whole, `[3]` for an expert of a stack,
        `q_proj` or `[3].gate_proj` for a piece."""
        label = "" if self.expert is None else f"[{self.expert}]"
        return ".".join(filter(None, (label, self.piece)))

    @property
    def contiguous(self) -> bool:
        """Whether the elements follow each other in the file, row by row."""
        return self.stride == 1 and not self.steps


def layouts(
    tensors: Iterable[tuple[str, tuple[int, ...], str]],
    roles: Mapping[str, Role],
    config: Mapping[str, Any] | None = None,
    read_small: ReadSmall | None = None,
) -> dict[str, Layout]:
    """Layout of every tensor (name, shape, dtype) of a checkpoint with its config.json.

    `read_small` returns the bytes of a small tensor by its name, which some quantization schemes
    need to know the shape of a weight; without it such weights are unsupported.
    """
    tensors = list(tensors)
    facts = ModelConfig(config or {})
    found = recognize(tensors, config or {}, read_small)
    logical = [
        (name, found.schemes[name].shape if name in found.schemes else shape, dtype)
        for name, shape, dtype in tensors
    ]
    stored = {name for name, _, _ in tensors}
    across = conv1d(logical, facts)
    orders = _stack_orders(logical, roles, facts)
    result = {}
    for name, shape, dtype in logical:
        scheme = found.schemes.get(name)
        if name in found.owners:
            reason = f"needed to read the quantized {found.owners[name]}"
            result[name] = Layout("companion", reason)
        elif name in found.unsupported:
            result[name] = Layout("unsupported", found.unsupported[name])
        elif scheme is None and _is_table(shape, dtype):
            result[name] = Layout("buffer", "integers or truth values, not learned")
        elif is_unlearned(name.rpartition(".")[2], len(shape)) or (
            roles[name].component == "adapter" and roles[name].is_buffer
        ):
            result[name] = Layout("buffer", "not a learned weight")
        else:
            result[name] = _layout(name, shape, dtype, roles[name], scheme, facts, across, orders)
            mask = f"{name.removesuffix('_orig')}_mask"
            if name.endswith("_orig") and mask in stored:
                result[name] = replace(result[name], reason=f"measured as stored, without {mask}")
    return result


def _layout(
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    role: Role,
    scheme: Scheme | None,
    facts: ModelConfig,
    across: set[str],
    orders: Mapping[str, bool | None],
) -> Layout:
    kind = _kind(shape, dtype, role, scheme)
    experts = None
    if kind == "matrix" and "dbrx" in facts.types and len(shape) == 2 and ".experts." in name:
        # [experts · inner, width]; w2 multiplies from the other side
        experts = facts.experts
        kind = "experts" if experts and shape[0] % experts == 0 else kind
    if kind not in ("matrix", "experts"):
        return Layout(kind, scheme=scheme)
    if experts:
        return Layout(kind, "", role.projection == "down_proj", (), experts, scheme)
    unknown_shape = bool(scheme and scheme.settings.get("shape_inside"))
    transposed = name in across
    projection = (role.projection or "").removeprefix("shared_")
    if kind == "experts":
        order = orders.get(_module(name))
        if order is None and projection == "gate_up_proj":
            note = "experts are measured as stored: whether [in, out] or [out, in] is not known"
            return Layout(kind, note, scheme=scheme)
        transposed = bool(order)
    rows: int | None
    cols: int | None
    rows, cols = (shape[-1], shape[-2]) if transposed else (shape[-2], shape[-1])
    if unknown_shape:
        rows = cols = None
    pieces: tuple[Piece, ...] = ()
    note = ""
    if role.block_type == "qkv_proj" and projection == "qkv_proj" and len(shape) == 2:
        pieces = qkv_pieces(name, rows, cols, role, facts)
        note = "" if pieces else "queries, keys and values are fused in an order not known here"
    elif projection == "gate_up_proj" and len(shape) in (2, 3):
        pieces = gate_up_pieces(name, rows, facts)
        note = "" if pieces else "gate and up are fused in an order not known here"
    return Layout(kind, note, transposed, pieces, None, scheme)


def _kind(shape: tuple[int, ...], dtype: str, role: Role, scheme: Scheme | None) -> str:
    if scheme is None and (
        len(shape) < 2 or math.prod(shape) == 0 or DTYPES[dtype].kind in ("bool", "complex")
    ):
        return "values"
    if role.is_bias and role.block_type == "moe":
        return "values"
    if len(shape) == 3 and role.block_type == "moe" and not _is_shared(role):
        return "experts" if shape[0] <= MAX_EXPERTS else "matrix"
    return "matrix"


def _is_table(shape: tuple[int, ...], dtype: str) -> bool:
    """Whether a tensor is a mask, a counter or a list of numbers."""
    kind = DTYPES[dtype].kind
    return kind == "bool" or (kind == "int" and len(shape) < 2)


def _is_shared(role: Role) -> bool:
    return (role.projection or "").startswith("shared_")


def _module(name: str) -> str:
    return name.removesuffix(".weight").rpartition(".")[0]


def _stack_orders(
    tensors: Iterable[tuple[str, tuple[int, ...], str]],
    roles: Mapping[str, Role],
    facts: ModelConfig,
) -> dict[str, bool | None]:
    """For each module with stacks of experts whether they are stored [in, out]."""
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape, _ in tensors:
        role = roles[name]
        if len(shape) == 3 and role.block_type == "moe" and not role.is_bias and role.projection:
            shapes.setdefault(_module(name), {})[role.projection] = shape[1:]
    return {module: stack_order(found, facts) for module, found in shapes.items()}


def view(shape: tuple[int, ...], layout: str, transposed: bool = False) -> tuple[int, int]:
    """(rows, cols) of the 2-D view of a whole tensor.

    A scalar is 1 x 1, a vector 1 x n, a matrix itself (or its transpose, if the model multiplies
    with that), a kernel [out, in, ...] is out x product, a stack of experts
    [experts, rows, cols] is experts·rows x cols.
    """
    if len(shape) < 2:
        return 1, math.prod(shape)
    if layout == "experts":
        return math.prod(shape[:-1]), shape[-1]
    rows, cols = shape[0], math.prod(shape[1:])
    return (cols, rows) if transposed else (rows, cols)


def matrices(shape: tuple[int, ...], layout: Layout) -> tuple[Matrix, ...]:
    """The matrices in a tensor of logical `shape`, in the order of their data."""
    if layout.kind not in ("matrix", "experts"):
        return ()
    is_stack = layout.kind == "experts"
    if is_stack:
        count = layout.experts or shape[0]
        height, width = math.prod(shape[:-1]) // count, shape[-1]
    else:
        count, (height, width) = 1, view(shape, layout.kind)
    rows, cols = (width, height) if layout.transposed else (height, width)
    step, stride = (1, width) if layout.transposed else (width, 1)
    pieces = layout.pieces
    if sum(piece.rows for piece in pieces) != rows:
        pieces = (Piece("", 0, ((rows, 1),)),)
    found = []
    for expert in range(count):
        for piece in pieces:
            steps = tuple((n, distance * step) for n, distance in piece.steps)
            plain = stride == 1 and len(steps) == 1 and steps[0][1] == cols
            found.append(
                Matrix(
                    piece.rows,
                    cols,
                    expert * height * width + piece.first * step,
                    () if plain else steps,
                    stride,
                    expert if is_stack else None,
                    piece.name,
                )
            )
    return tuple(found)


def whole(shape: tuple[int, ...], layout: Layout) -> Matrix:
    """All elements of a tensor as one matrix: its 2-D view."""
    if layout.kind == "matrix":
        return matrices(shape, replace(layout, pieces=()))[0]
    return Matrix(*view(shape, layout.kind))


def layout_json(layout: Layout) -> dict[str, Any]:
    """The layout as manifest and plan keep it; what is usual is left out."""
    entry: dict[str, Any] = {"kind": layout.kind}
    if layout.reason:
        entry["reason"] = layout.reason
    if layout.transposed:
        entry["transposed"] = True
    if layout.pieces:
        entry["pieces"] = [[p.name, p.first, [list(s) for s in p.steps]] for p in layout.pieces]
    if layout.experts:
        entry["experts"] = layout.experts
    if layout.scheme:
        entry["scheme"] = scheme_json(layout.scheme)
    return entry


def scheme_json(scheme: Scheme) -> dict[str, Any]:
    """The scheme as manifest and plan keep it."""
    return {
        "method": scheme.method,
        "formula": scheme.formula,
        "shape": list(scheme.shape),
        "companions": dict(scheme.companions),
        "settings": dict(scheme.settings),
    }


def layout_from_json(entry: Mapping[str, Any]) -> Layout:
    """The layout of an entry of a manifest or plan."""
    scheme = entry.get("scheme")
    return Layout(
        entry["kind"],
        entry.get("reason", ""),
        entry.get("transposed", False),
        tuple(
            Piece(name, first, tuple((count, step) for count, step in steps))
            for name, first, steps in entry.get("pieces", ())
        ),
        entry.get("experts"),
        scheme and Scheme(**{**scheme, "shape": tuple(scheme["shape"])}),
    )
