"""What is compared: the matrices of a checkpoint, and its tensors that are no matrices.

An item is addressed by its place in the model (component, layer, projection, expert), which does
not depend on how a checkpoint spells names, fuses projections, stacks experts or cuts shards.
"""

from dataclasses import dataclass

from blockresearch.checkpoint.manifest import Manifest, Tensor
from blockresearch.weights.layout import Matrix, matrices, whole

# Prefixes that libraries add to or remove from the names of the same model.
PREFIXES = (
    "base_model.model.",
    "model.language_model.",
    "language_model.model.",
    "language_model.",
    "transformer.",
    "backbone.",
    "module.",
    "model.",
)

FUSED = {
    "qkv_proj": ("q_proj", "k_proj", "v_proj"),
    "gate_up_proj": ("gate_proj", "up_proj"),
}

# What libraries call the same router.
ROUTERS = ("router", "gate")

# component, layer, projection, role, expert, whether it is a bias, name of the parameter
Place = tuple[str, int | None, str, str | None, int | None, bool, str]


@dataclass(frozen=True, slots=True)
class Item:
    """One matrix, or one tensor of values, which is read as a matrix too.

    `tensor` is its stored tensor, `matrix` the view on its elements. `has_spectrum` is False for
    values such as norms and biases.
    """

    tensor: Tensor
    matrix: Matrix
    has_spectrum: bool

    @property
    def name(self) -> str:
        """Name of the tensor and of the part of it."""
        return f"{self.tensor.name} {self.matrix.slice}".rstrip()

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, cols) as the model multiplies."""
        return self.matrix.rows, self.matrix.cols

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.matrix.rows * self.matrix.cols

    @property
    def is_whole(self) -> bool:
        """Whether the item is all of its stored tensor."""
        return not self.matrix.slice

    @property
    def is_token_table(self) -> bool:
        """Whether each row belongs to a token."""
        return self.tensor.role.projection in ("embed_tokens", "lm_head") and self.has_spectrum

    @property
    def projection(self) -> str:
        """What the item is in its layer: that of its tensor, for a piece that of the piece."""
        name, piece = self.tensor.role.projection or "", self.matrix.piece
        for fused, pieces in FUSED.items():
            if piece in pieces:
                return name.replace(fused, piece)
        return name

    @property
    def expert(self) -> int | None:
        """Number of a routed expert, stacked or stored separately."""
        stacked = self.matrix.expert
        return self.tensor.role.expert_index if stacked is None else stacked

    @property
    def place(self) -> Place:
        """Where the item is in the model, however it is stored."""
        role = self.tensor.role
        projection = self.projection
        if role.block_type == "router" and projection in ROUTERS:
            projection = ROUTERS[0]
        leaf = self.tensor.name.rpartition(".")[2] if not self.has_spectrum else ""
        return (
            role.component,
            role.layer_index,
            projection,
            role.role,
            self.expert,
            role.is_bias,
            leaf,
        )

    @property
    def stem(self) -> tuple[str, str]:
        """Name without the prefixes that libraries add, and the part of the tensor."""
        name = self.tensor.name
        while prefix := next((p for p in PREFIXES if name.startswith(p)), ""):
            name = name.removeprefix(prefix)
        return name, self.matrix.slice


def items_of(manifest: Manifest) -> list[Item]:
    """The items of a checkpoint: each measured tensor by its matrices, or as values."""
    found = []
    for tensor in manifest.tensors:
        if not tensor.layout.is_measured:
            continue
        views = matrices(tensor.logical_shape, tensor.layout)
        has_spectrum = bool(views)
        for matrix in views or (whole(tensor.logical_shape, tensor.layout),):
            found.append(Item(tensor, matrix, has_spectrum))
    return found
