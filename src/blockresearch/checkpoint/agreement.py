"""Whether shards, index and metadata of a checkpoint agree on its tensors.

The headers are the truth; the index is checked against them. A tensor that several shards hold is
listed once, from the shard in the index. Without that its bytes must be the same everywhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from blockresearch.checkpoint.manifest import Problem
from blockresearch.checkpoint.selection import CheckpointError
from blockresearch.text import quoted
from blockresearch.weights.stored import Stored

# Returns the bytes `begin` to `end` of a shard.
Piece = Callable[[str, int, int], bytes]

# Copies of a tensor are compared in pieces: those that differ do so early.
COMPARED_BYTES = 8 * 1024**2

# Further names of stored tensors in one header; a model ties a few, at most its layers.
MAX_ALIASES = 10_000


def aliases_of(
    metadata: Mapping[str, Mapping[str, str]], stored: Mapping[str, Stored]
) -> dict[str, Stored]:
    """Tensors that are stored under another name of the same shard.

    Of tensors that share memory `save_model` of safetensors stores one; the header's metadata
    gives its name for each of the others. Source: safetensors/torch.py.
    """
    return {
        name: stored[other]
        for shard, entries in metadata.items()
        for name, other in list(entries.items())[:MAX_ALIASES]
        if name not in stored and other in stored and stored[other].shard == shard
    }


def each_once(stored: Sequence[Stored], weight_map: Mapping[str, str]) -> list[Stored]:
    """Tensors without duplicates: that of the shard in the index, else the first."""
    chosen: dict[str, Stored] = {}
    for tensor in stored:
        if tensor.name not in chosen or weight_map.get(tensor.name) == tensor.shard:
            chosen[tensor.name] = tensor
    return [tensor for tensor in stored if chosen[tensor.name] is tensor]


def repeated(
    tensors: Sequence[Stored],
    weight_map: Mapping[str, str],
    piece: Piece,
    where: str,
) -> Iterator[Problem]:
    """Problems of tensors that several shards hold.

    Raises CheckpointError if the copies differ and the index places the tensor in none of them.
    """
    copies: dict[str, list[Stored]] = {}
    for tensor in tensors:
        copies.setdefault(tensor.name, []).append(tensor)
    for name, (first, *others) in copies.items():
        shards = [first.shard, *(other.shard for other in others)]
        if not others:
            continue
        if all(_is_copy(first, other, piece) for other in others):
            evidence = f"stored in {' and '.join(shards)} with the same bytes, read once"
            yield Problem("repeated_tensor", name, evidence)
        elif weight_map.get(name) in shards:
            evidence = (
                f"stored in {' and '.join(shards)} with different bytes; "
                f"{weight_map[name]} is read, as the index says"
            )
            yield Problem("duplicate_tensor", name, evidence)
        else:
            raise CheckpointError(
                f"{where}: the tensor {quoted(name)} is stored in {' and '.join(shards)} with "
                "different bytes, and no index says which one counts: remove the files of the "
                "other export, or choose one with file=NAME (scripts: --file NAME)."
            )


def _is_copy(one: Stored, other: Stored, piece: Piece) -> bool:
    """Whether two stored tensors have the same type, shape and bytes."""
    if (one.dtype, one.shape, one.nbytes) != (other.dtype, other.shape, other.nbytes):
        return False
    return all(
        piece(one.shard, one.begin + at, min(one.begin + at + COMPARED_BYTES, one.end))
        == piece(other.shard, other.begin + at, min(other.begin + at + COMPARED_BYTES, other.end))
        for at in range(0, one.nbytes, COMPARED_BYTES)
    )


def disagreements(
    tensors: Sequence[Stored], weight_map: Mapping[str, str], aliases: Mapping[str, Stored]
) -> Iterator[Problem]:
    """Problems between headers and index."""
    if not weight_map:
        return
    homes: dict[str, list[str]] = {}
    for tensor in tensors:
        homes.setdefault(tensor.name, []).append(tensor.shard)
    for name, shard in weight_map.items():
        if name not in homes and name not in aliases:
            evidence = f"the index places it in {shard}, whose header does not list it"
            yield Problem("missing_tensor", name, evidence)
        elif name in homes and shard not in homes[name]:
            evidence = f"the index places it in {shard}, it is stored in {homes[name][0]}"
            yield Problem("misplaced_tensor", name, evidence)
    for name, shards in homes.items():
        if name not in weight_map:
            evidence = f"in the header of {shards[0]} but not in the index"
            yield Problem("unlisted_tensor", name, evidence)
