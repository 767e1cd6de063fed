"""Recognize quantized weights by names, types, shapes and the configuration.

A quantized weight is stored as one tensor of codes, its owner, and companions beside it (scales,
zero points …), possibly in another shard. SCHEMES is the registry: to add a scheme, write its file
(see `scheme`) and add a row here.

A scheme is accepted if names and types are its own, sizes agree, and the config does not contradict
it. If several readings fit, the weight is unsupported, never read by the first. Companions stay
companions, whatever becomes of their owner.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from posixpath import commonprefix
from typing import Any, NamedTuple

from blockresearch.naming import patterns
from blockresearch.safetensors.dtypes import DTYPES
from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import (
    awq,
    bitsandbytes4,
    bitsandbytes8,
    fp8,
    gptq,
    int8,
    mlx,
    mxfp4,
    mxfp6,
    nvfp4,
    pack_quantized,
    sparse_bitmask,
    torchao,
)
from blockresearch.weights.quantized.fp8 import lost_scale
from blockresearch.weights.quantized.scheme import (
    DOES_NOT_FIT,
    FLOAT8,
    INTEGERS,
    MAX_SMALL_VALUES,
    Format,
    Found,
    NotDecoded,
    ReadSmall,
    Scheme,
    SchemeFile,
    Tensor,
    Unfit,
)
from blockresearch.weights.quantized.settings import (
    is_decoded_algorithm,
    method_of,
    named_scheme,
    quantization_config,
)
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.undecoded import (
    COMFY_PIECE,
    OTHER_METHODS,
    comfy_format,
    undecoded_method,
)

SCHEMES: tuple[SchemeFile, ...] = (
    gptq,
    awq,
    pack_quantized,
    sparse_bitmask,
    mxfp4,
    mxfp6,
    nvfp4,
    bitsandbytes4,
    bitsandbytes8,
    mlx,
    fp8,
    int8,
    torchao,
)

# How the names of codes end, for the owner of a companion.
CODES = (
    *("", ".weight", ".qweight", ".weight_packed", "_packed", "_blocks", "._weight_qdata"),
    *(".compressed", ".weight.compressed", ".W_q", ".codes", ".q_weight", ".indices", ".trellis"),
    *(".dense_weights", ".Qidxs", ".B", "._data", ":_data", ":qdata"),
)

# Ends of names that stand for nothing but codes.
NAMES_OF_CODES = tuple(sign + word for word in patterns.QUANTIZED_CODES.split() for sign in "._")

NUMBER = re.compile(r"\d+")

# Parameters of undecoded schemes, beside their codes.
SCALE_LIKE = re.compile(
    r"scale|scaling|zero|amax|absmax|quant_map|codebook|centroid|^meta$|^SCB$|^su$|^sv$|biases"
    r"|^smooth_factor"
)

# Of these the ones that belong to inputs and outputs of a module, not to its weight.
OF_ACTIVATIONS = re.compile(r"input|act|output|pre_quant|^[qkv]_|^kv_")


@dataclass(frozen=True)
class Recognized:
    """Quantized weights of a checkpoint by name; `owners` maps a companion to its weight, and
    `unsupported` a tensor to the reason why it is not decoded."""

    schemes: dict[str, Scheme]
    owners: dict[str, str]
    unsupported: dict[str, str]


def decoder(formula: str) -> Callable[[Source], Grid]:
    """The function that opens weights of a formula, as a scheme's file names it."""
    return next(file.FORMULAS[formula] for file in SCHEMES if formula in file.FORMULAS)


def recognize(
    tensors: Iterable[Tensor],
    config: Mapping[str, Any],
    read_small: ReadSmall | None = None,
) -> Recognized:
    """Quantized weights among all tensors of a checkpoint, with config.json's settings.

    `read_small` returns the bytes of a small tensor (shapes, states) by its name; it is asked only
    if headers leave several readings. Without it such weights are unsupported.
    """
    checkpoint = _Checkpoint(tensors, quantization_config(config), read_small)
    schemes: dict[str, Scheme] = {}
    owners: dict[str, str] = {}
    unsupported: dict[str, str] = {}
    for tensor in checkpoint.stored.values():
        found, reason = checkpoint.match(tensor)
        if found:
            schemes[tensor[0]] = found
            owners |= {name: tensor[0] for name in found.companions.values()}
        elif reason:
            unsupported[tensor[0]] = reason
    for name in owners:
        unsupported.pop(name, None)
    decoded = {_likeness(checkpoint.stored[name]) for name in schemes}
    for tensor in checkpoint.stored.values():
        if not (tensor[0] in schemes or tensor[0] in owners or tensor[0] in unsupported):
            reason = checkpoint.why_unread(tensor)
            if not reason and not _companion_suffix(tensor[0])[1]:
                reason = lost_scale(tensor, checkpoint.config, schemes)
                if not reason and _likeness(tensor) in decoded and tensor[2] not in FLOAT8:
                    reason = (
                        f"{DOES_NOT_FIT}: its companions are missing, and its siblings have some"
                    )
            if reason:
                unsupported[tensor[0]] = reason
    quantized: dict[str, list[str]] = {}
    for name in (*schemes, *unsupported):
        quantized.setdefault(_module(name), []).append(name)
    for name, _, dtype in checkpoint.stored.values():
        if not (name in schemes or name in owners or name in unsupported):
            owner = _owner(name, dtype, checkpoint.stored, quantized, schemes, unsupported)
            if owner:
                owners[name] = owner
    return Recognized(schemes, owners, unsupported)


def _likeness(tensor: Tensor) -> tuple[Any, ...]:
    """What codes and plain weights of one kind of name do not share: type and dimensions.

    Of types in which weights are usually stored the whole shape: bitsandbytes packs into any type.
    """
    name, shape, dtype = tensor
    is_usual = DTYPES[dtype].kind == "float" and DTYPES[dtype].bits >= 16
    return NUMBER.sub("#", name), dtype, shape if is_usual else len(shape)


class Tried(NamedTuple):
    """A format that looks like it and does not fit: why, and how many companions are missing."""

    row: Format
    why: str
    missing: int = 0


class _Checkpoint:
    """All tensors by name, what the config says of them, and which of them have companions."""

    def __init__(
        self,
        tensors: Iterable[Tensor],
        config: Mapping[str, Any],
        read_small: ReadSmall | None,
    ):
        self.stored = {tensor[0]: tensor for tensor in tensors}
        self.config = config
        self.method = method_of(config)
        self.read_small = read_small
        self.modules = _modules(self.stored)
        ends = [(name, *_companion_suffix(name)) for name in self.stored]
        stems = {name[:-length] for name, length, _ in ends if length}
        self.helped = stems | {f"{stem}.weight" for stem in stems}
        self.formats: dict[str, list[Format]] = {}
        for row in (row for file in SCHEMES for row in file.FORMATS):
            for dtype in row.dtypes:
                self.formats.setdefault(dtype, []).append(row)

    def match(self, tensor: Tensor) -> tuple[Scheme | None, str]:
        """The scheme that fits the tensor as its codes; else why none that it looks like does."""
        name, shape, dtype = tensor
        tried: list[Tried] = []
        undecoded: list[str] = []
        schemes: list[Scheme] = []
        for row in self.formats.get(dtype, ()):
            if not name.endswith(row.codes) or len(shape) < row.least_dimensions or 0 in shape:
                continue
            stem = name.removesuffix(row.codes)
            ends = row.needed | row.optional
            present = {
                r: self.stored[stem + end] for r, end in ends.items() if stem + end in self.stored
            }
            absent = [stem + end for role, end in row.needed.items() if role not in present]
            if absent:
                # A tensor of any name with one scale is nothing of a scheme that needs others.
                if present and (row.codes or len(row.needed) > 1):
                    tried.append(Tried(row, f"{' and '.join(absent)} missing", len(absent)))
                continue
            try:
                kind, formula, logical, settings = row.read(
                    Found(tensor, present, self.config, stem, self.read_small)
                )
            except Unfit as error:
                tried.append(Tried(row, str(error)))
            except NotDecoded as error:
                undecoded.append(str(error))
            else:
                names = {role: other[0] for role, other in present.items()}
                schemes.append(Scheme(kind, formula, logical, names, settings))
        known = OTHER_METHODS.get(self.method) if schemes or tried or undecoded else None
        if not schemes and (tried or undecoded):
            known = known or undecoded_method(name, self.modules[_module(name)])
            known = known or (undecoded[0] if undecoded else None)
        if (schemes or tried) and COMFY_PIECE in self.modules[_module(name)]:
            form = comfy_format(self._read(f"{_module(name)}.{COMFY_PIECE}"))
            known = f"ComfyUI's {form}" if form else known
        if known:
            return None, f"quantized by {known}, which is not decoded"
        if not schemes:
            return None, self._contradiction(tried) if tried else ""
        found, why = _only(schemes)
        if found and not name.endswith(".weight") and f"{_module(name)}.weight" in self.stored:
            found, why = None, f"{_module(name)}.weight is stored as well"
        return found, f"{DOES_NOT_FIT}: {why}" if why else ""

    def _read(self, name: str) -> bytes | None:
        """The bytes of a small tensor, None if they are not at hand."""
        _, shape, _ = self.stored[name]
        is_small = math.prod(shape) <= MAX_SMALL_VALUES
        return self.read_small(name) if self.read_small and is_small else None

    def _contradiction(self, tried: list[Tried]) -> str:
        """Why sizes fit no scheme: a contradiction only if the config names one of these."""
        decoded = is_decoded_algorithm(self.config)
        named = [one for one in tried if decoded and self.method in one.row.methods]
        why = min(named or tried, key=lambda one: (max(1, one.missing), -len(one.why))).why
        if named or not self.method:
            return f"{DOES_NOT_FIT}: {why}"
        return f"quantized by {named_scheme(self.config)} in a layout that is not decoded: {why}"

    def why_unread(self, tensor: Tensor) -> str:
        """Why a tensor that no scheme matches is no plain weight: codes of an unknown layout."""
        name, shape, dtype = tensor
        beside = self.modules[_module(name)]
        known = undecoded_method(name, beside)
        if known:
            return f"quantized by {known}, which is not decoded"
        if len(shape) < 2 or _companion_suffix(name)[1]:
            return ""
        is_code = name.endswith(NAMES_OF_CODES)
        is_weight = is_code or name.endswith("weight")
        scales = [leaf for leaf in beside if SCALE_LIKE.search(leaf)]
        if dtype in FLOAT8:
            # A static scale of inputs may stand beside weights that are just cast.
            unread = is_weight and any(not OF_ACTIVATIONS.search(leaf) for leaf in scales)
        elif dtype in INTEGERS:
            named = self.method or scales
            unread = name in self.helped or is_code or (is_weight and bool(named))
        else:
            unread = False
        if unread:
            if self.method in OTHER_METHODS:
                return f"quantized by {OTHER_METHODS[self.method]}, which is not decoded"
            how = f" by {named_scheme(self.config)}" if self.method else ""
            return f"quantized{how} in a layout that is not decoded ({dtype} codes)"
        return ""


def _only(schemes: list[Scheme]) -> tuple[Scheme | None, str]:
    """The one reading that uses most of the companions; else why there is none."""
    most = max(schemes, key=lambda scheme: len(scheme.companions))
    names = set(most.companions.values())
    for other in schemes:
        others = set(other.companions.values())
        if not others <= names:
            claims = f"both {_listed(names - others)} and {_listed(others - names)} claim it"
            return None, claims
        if others == names and (other.method, other.shape) != (most.method, most.shape):
            return None, f"it may be {most.method} or {other.method}"
    return most, ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _owner(
    name: str,
    dtype: str,
    stored: Mapping[str, Tensor],
    quantized: Mapping[str, list[str]],
    *owners: Mapping[str, Any],
) -> str | None:
    """The weight that a tensor helps with, None for an independent tensor."""
    in_module = quantized.get(_module(name), [])
    length, strict = _companion_suffix(name)
    nearest = max(in_module, key=lambda other: len(commonprefix((name, other))), default=None)
    if length:
        stem = name[:-length]
        for end in CODES:
            if any(stem + end in some for some in owners):
                return stem + end
        if strict:
            return nearest or next((n for n in (f"{stem}.weight", stem) if n in stored), stem)
    if nearest is None:
        return None
    leaf, owner_leaf = name.rpartition(".")[2], nearest.rpartition(".")[2]
    # A bare parameter shares its module with others: its name begins those of its companions.
    is_bare = not any(nearest.endswith(end) for end in CODES if end.startswith("."))
    helps = dtype in INTEGERS or dtype == "BOOL"
    if not is_bare:
        return nearest if helps or SCALE_LIKE.search(leaf) else None
    begins = leaf.startswith(f"{owner_leaf.removesuffix('_packed').removesuffix('_blocks')}_")
    return nearest if helps or (begins and SCALE_LIKE.search(leaf)) else None


MAX_SUFFIX_SEGMENTS = 4


def _companion_suffix(name: str) -> tuple[int, bool]:
    """Characters of a companion's ending, 0 without one; whether it can be nothing else."""
    # Thousands of layers and experts share the ends of their names.
    return _suffix_of_end(".".join(name.rsplit(".", MAX_SUFFIX_SEGMENTS)[1:]) or name)


@lru_cache(65536)
def _suffix_of_end(end: str) -> tuple[int, bool]:
    strict = patterns.COMPANION.search(f".{end}")
    suffix = strict or patterns.COMPANION_OF_CODES.search(f".{end}")
    return (len(end) + 1 - suffix.start() if suffix else 0), strict is not None


def _module(name: str) -> str:
    """The module of a tensor: bitsandbytes puts companions below the weight's name."""
    module = name.rpartition(".")[0]
    return module.removesuffix(".quant_state").removesuffix(".weight")


def _modules(names: Iterable[str]) -> dict[str, list[str]]:
    """Last segments of the names in each module."""
    modules: dict[str, list[str]] = {}
    for name in names:
        modules.setdefault(_module(name), []).append(name.rpartition(".")[2])
    return modules
