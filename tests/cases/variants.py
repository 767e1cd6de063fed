"""Copies of a checkpoint that differ from it in a known way.

Each function takes tensors by name and returns those of the copy. They work on the tiny llama of
the unit tests as on a real model in BF16:

    python -m tests.cases.variants MODEL FOLDER NAME...

writes the copies of a local model, each to a folder of its name.
"""

import json
import re
import shutil
import struct
import sys
from pathlib import Path

import numpy as np

from tests.cases.checkpoints import E2M1, E4M3, Raw, brain, from_bf16, save

# The rules of an autopsy that fire for each copy, the headline first.
RULES = {
    "resharded": ["equal"],
    "renamed": ["equal"],
    "with_new_table": ["only_token_tables", "not_independent"],
    "with_new_norm": ["only_values", "not_independent"],
    "low_rank": ["low_rank", "not_independent"],
    "tuned": ["broad", "not_independent"],
    "noised": ["noise", "not_independent"],
    "sparse": ["sparse", "not_independent"],
    "pruned": ["pruned", "not_independent"],
    "abliterated": ["one_direction", "not_independent"],
    "in_int4": ["quantized", "not_independent"],
    "in_nvfp4": ["quantized", "not_independent"],
    "scaled": ["scaled", "not_independent"],
    "rotated": ["rotated", "equal"],
    "transposed": ["transposed", "equal", "not_independent"],
    "interleaved": ["rows_interleaved", "equal", "not_independent"],
    "rows_permuted": ["rows_permuted", "equal", "not_independent"],
    "units_permuted": ["rows_permuted", "columns_permuted", "equal", "shuffled_units"],
    "reinitialized": ["unrelated", "equal"],
    "extended": ["equal", "resized"],
}

WRITERS = ("o_proj", "down_proj")


def values(tensor):
    """Values of a stored tensor, float32."""
    return from_bf16(tensor.codes) if isinstance(tensor, Raw) else np.asarray(tensor, np.float32)


def is_matrix(name, tensor):
    """Whether a tensor is a matrix of a layer."""
    return len(tensor.shape) == 2 and "layers." in name


def of_matrices(tensors, change):
    """The copy with `change(name, values)` of each matrix of a layer."""
    return {
        name: brain(change(name, values(tensor))) if is_matrix(name, tensor) else tensor
        for name, tensor in tensors.items()
    }


def trained(tensors, seed=9):
    """The tiny llama with spectra as training leaves them: a few large directions above noise."""
    random = np.random.default_rng(seed)

    def change(name, w):
        left = np.linalg.qr(random.standard_normal((len(w), 12)))[0]
        right = np.linalg.qr(random.standard_normal((w.shape[1], 12)))[0]
        sizes = np.linalg.norm(w) / np.arange(1, 13) ** 0.7
        return w + (left * sizes) @ right.T * random.choice([-1, 1])

    return of_matrices(tensors, change)


def resharded(tensors):
    return dict(reversed(tensors.items()))


def renamed(tensors):
    """As a library with another wrapper saves it."""
    return {name.replace("model.", "model.language_model.", 1): t for name, t in tensors.items()}


def low_rank(tensors, rank=8, relative=0.05):
    random = np.random.default_rng(1)

    def change(name, w):
        left = np.linalg.qr(random.standard_normal((len(w), rank)))[0]
        right = np.linalg.qr(random.standard_normal((w.shape[1], rank)))[0]
        return w + relative * np.linalg.norm(w) / np.sqrt(rank) * left @ right.T

    return of_matrices(tensors, change)


def tuned(tensors, relative=0.05):
    """A change of full rank whose directions differ in size."""
    random = np.random.default_rng(3)

    def change(name, w):
        side = min(w.shape)
        left, right = (random.standard_normal((n, side)) for n in w.shape)
        delta = (left / np.arange(1, side + 1) ** random.uniform(0.8, 1.2)) @ right.T
        return w + relative * np.linalg.norm(w) * delta / np.linalg.norm(delta)

    return of_matrices(tensors, change)


def noised(tensors, relative=0.05):
    random = np.random.default_rng(2)

    def change(name, w):
        noise = random.standard_normal(w.shape)
        return w + relative * np.linalg.norm(w) * noise / np.linalg.norm(noise)

    return of_matrices(tensors, change)


def sparse(tensors):
    """Every tenth code one unit larger."""
    result = {}
    for name, tensor in tensors.items():
        codes = tensor.codes.copy()
        if is_matrix(name, tensor):
            codes.reshape(-1)[::10] += 1
        result[name] = Raw("BF16", codes)
    return result


def pruned(tensors, share=0.5):
    return of_matrices(
        tensors, lambda name, w: np.where(np.abs(w) < np.quantile(np.abs(w), share), 0, w)
    )


def with_new_table(tensors):
    name = "model.embed_tokens.weight"
    return tensors | {name: brain(values(tensors[name]) * 1.1)}


def with_new_norm(tensors):
    name = "model.norm.weight"
    return tensors | {name: brain(values(tensors[name]) * 1.1)}


def abliterated(tensors):
    """One direction removed from all that matrices write to the residual stream."""
    width = values(tensors["model.norm.weight"]).size
    direction = np.random.default_rng(4).standard_normal(width)
    direction /= np.linalg.norm(direction)

    def change(name, w):
        if not any(writer in name for writer in WRITERS):
            return w
        return w - np.outer(direction, direction @ w)

    return of_matrices(tensors, change)


def in_groups(w, size, rounded):
    """`rounded` of each group [n, size] along rows; the last may be shorter."""
    padded = np.pad(w, [(0, 0), (0, -w.shape[1] % size)]).astype(np.float64)
    groups = padded.reshape(len(w), -1, size)
    return rounded(groups).reshape(len(w), -1)[:, : w.shape[1]]


def int4(w, size=128):
    """Symmetric INT4 in groups."""

    def rounded(groups):
        scale = np.abs(groups).max(axis=2, keepdims=True) / 7.5
        scale = np.where(scale > 0, scale, 1)
        return np.clip(np.round(groups / scale), -8, 7) * scale

    return in_groups(w, size, rounded)


def nvfp4(w):
    """E2M1 in groups of 16, with scales in E4M3 times one of the matrix."""
    unit = np.abs(w).max() / (6 * 448)

    def nearest(x, grid):
        places = np.searchsorted((grid[1:] + grid[:-1]) / 2, x)
        return grid[places]

    def rounded(groups):
        scale = np.abs(groups).max(axis=2, keepdims=True) / 6
        scale = nearest(scale / unit, E4M3[:127].astype(np.float64)) * unit
        codes = np.abs(groups) / np.where(scale > 0, scale, 1)
        return np.sign(groups) * nearest(codes, E2M1[:8].astype(np.float64)) * scale

    return in_groups(w, 16, rounded)


def in_int4(tensors):
    return of_matrices(tensors, lambda name, w: int4(w))


def in_nvfp4(tensors):
    return of_matrices(tensors, lambda name, w: nvfp4(w))


def scaled(tensors):
    """Columns scaled before rounding to INT4, as AWQ leaves them."""
    random = np.random.default_rng(5)
    return of_matrices(
        tensors, lambda name, w: int4(w * np.exp(random.normal(0, 0.6, w.shape[1])), 32)
    )


def rotated(tensors):
    """The residual stream turned by one rotation, as QuaRot and SpinQuant do."""
    width = values(tensors["model.norm.weight"]).size
    turn = np.linalg.qr(np.random.default_rng(6).standard_normal((width, width)))[0]

    def change(name, w):
        return turn @ w if any(writer in name for writer in WRITERS) else w @ turn

    return of_matrices(tensors, change)


def transposed(tensors):
    """Square matrices written the wrong way round."""
    return of_matrices(tensors, lambda name, w: w.T if w.shape[0] == w.shape[1] else w)


def interleaved(tensors, head_rows=16):
    """Rotary halves of q and k as pairs."""

    def change(name, w):
        if not re.search(r"[qk]_proj", name):
            return w
        halves = w.reshape(-1, 2, head_rows // 2, w.shape[1])
        return halves.transpose(0, 2, 1, 3).reshape(w.shape)

    return of_matrices(tensors, change)


def rows_permuted(tensors):
    random = np.random.default_rng(7)
    return of_matrices(
        tensors, lambda name, w: w[random.permutation(len(w))] if "v_proj" in name else w
    )


def units_permuted(tensors):
    """Hidden units in another order, the same in gate, up and down: the same function."""
    orders = {}

    def change(name, w):
        layer = re.search(r"layers\.(\d+)\.", name)[1]
        units = w.shape[1] if "down_proj" in name else len(w)
        seed = 100 + int(layer)
        if "mlp." in name and "down_proj" in name:
            order = orders.setdefault(layer, np.random.default_rng(seed).permutation(units))
            return w[:, order]
        if "mlp." in name:
            order = orders.setdefault(layer, np.random.default_rng(seed).permutation(units))
            return w[order]
        return w

    return of_matrices(tensors, change)


def reinitialized(tensors):
    """One projection with random weights, as a converter that did not find it leaves it."""
    random = np.random.default_rng(8)
    return of_matrices(
        tensors,
        lambda name, w: random.normal(0, w.std(), w.shape) if "up_proj" in name else w,
    )


def merged(tensors, other, share=0.3):
    """(1 - share) of the base and `share` of another checkpoint."""
    return {
        name: brain((1 - share) * values(tensor) + share * values(other[name]))
        for name, tensor in tensors.items()
    }


def deeper(tensors, first=1, last=1):
    """Layers from `first` to `last` once more behind themselves; later ones move."""
    count = last - first + 1
    result = {}
    for name, tensor in tensors.items():
        layer = re.search(r"layers\.(\d+)\.", name)
        number = int(layer[1]) if layer else -1

        def at(place, name=name, number=number):
            return name.replace(f"layers.{number}.", f"layers.{place}.")

        result[at(number + count) if number > last else name] = tensor
        if first <= number <= last:
            result[at(number + count)] = tensor
    return result


def extended(tensors, tokens=5):
    """New rows behind those of the vocabulary."""
    result = dict(tensors)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        if name in tensors:
            w = values(tensors[name])
            result[name] = brain(np.concatenate([w, np.full((tokens, w.shape[1]), 0.01)]))
    return result


def steps(tensors, count=3, rank=4, relative=0.02, frozen=("embed_tokens", "norm", "layers.0.")):
    """Steps of a training run, the first as given: each adds `rank` directions with `relative` of
    the norm (or with each of these) to every matrix, but for those whose names contain a word of
    `frozen`."""
    random = np.random.default_rng(10)
    exact = {name: values(t) for name, t in tensors.items() if not any(w in name for w in frozen)}
    found = [dict(tensors)]
    for own in np.broadcast_to(relative, count - 1):
        for name, w in exact.items():
            left, right = (np.linalg.qr(random.standard_normal((n, rank)))[0] for n in w.shape)
            size = own * np.linalg.norm(w) / np.sqrt(rank)
            exact[name] = w + (size * left @ right.T).astype(np.float32)
        found.append(tensors | {name: brain(w) for name, w in exact.items()})
    return found


def write_steps(folder, found, config):
    """A folder step-0, step-100 … for each step, with what no step changes in the first shard."""
    same = {name for name, tensor in found[0].items() if all(s[name] is tensor for s in found)}
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    folders = []
    for number, tensors in enumerate(found):
        folders.append(folder / f"step-{100 * number}")
        folders[-1].mkdir(parents=True)
        places = {name: shards[name not in same] for name in tensors}
        for shard in shards:
            own = {name: t for name, t in tensors.items() if places[name] == shard}
            save(folders[-1] / shard, own)
        index = {"metadata": {}, "weight_map": places}
        (folders[-1] / "model.safetensors.index.json").write_text(json.dumps(index))
        (folders[-1] / "config.json").write_text(json.dumps(config))
    return folders


def read(folder):
    """Tensors of a local model in BF16, by name."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        for name, place in header.items():
            begin, end = (start + offset for offset in place["data_offsets"])
            codes = np.frombuffer(data[begin:end], "<u2").reshape(place["shape"])
            tensors[name] = Raw(place["dtype"], codes)
    assert {tensor.dtype for tensor in tensors.values()} == {"BF16"}
    return tensors


def write(folder, tensors, model, **config):
    """A copy of a local model with other tensors; returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in model.glob("tokenizer*"):
        shutil.copy(path, folder)
    stated = json.loads((model / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(stated | config))
    save(folder / "model.safetensors", tensors)
    return folder


if __name__ == "__main__":
    model, target, *names = sys.argv[1:]
    base = read(Path(model))
    for each in names or RULES:
        print(write(Path(target, each), globals()[each](base), Path(model)), flush=True)
