"""Storage that is known and not decoded: codebooks, entropy coding, kernels' layouts, pieces.

A tensor of these is `unsupported` by name; what stands beside it in its module is a companion.
"""

import re
from typing import NamedTuple

from blockresearch.safetensors import json_text

# Values of `quant_method` under which no scheme of this folder is stored.
OTHER_METHODS = {
    "aqlm": "AQLM",
    "bitnet": "BitNet",
    "eetq": "EETQ",
    "exl2": "EXL2",
    "exl3": "EXL3",
    "fouroversix": "Four Over Six",
    "fp_quant": "FP-Quant",
    "gguf": "GGUF",
    "higgs": "HIGGS",
    "hqq": "HQQ",
    "quanto": "quanto",
    "quip": "QuIP#",
    "sinq": "SINQ",
    "spqr": "SpQR",
    "vptq": "VPTQ",
}


class Undecoded(NamedTuple):
    """How the name of the codes ends, and what must stand beside them in their module, if any."""

    method: str
    codes: re.Pattern[str]
    beside: str = ""


UNDECODED = (
    Undecoded("marlin-24", re.compile(r"\.weight_packed$"), "meta"),
    Undecoded("SVDQuant", re.compile(r"\.qweight$"), "wscales"),
    Undecoded("HQQ", re.compile(r"\.W_q$")),
    Undecoded("AQLM", re.compile(r"\.codes$")),
    Undecoded("VPTQ", re.compile(r"\.indices$")),
    Undecoded("QuIP#", re.compile(r"\.Qidxs\w*$")),
    Undecoded("EXL2", re.compile(r"\.q_weight$")),
    Undecoded("EXL3", re.compile(r"\.trellis$")),
    Undecoded("SpQR", re.compile(r"\.dense_weights$")),
    Undecoded("Marlin", re.compile(r"\.B$"), "s"),
    Undecoded(
        "torchao or quanto",
        re.compile(r"(?:\.weight\._data|weight:_data|_weight_qdata|:qdata)"),
    ),
)


_ANY_CODES = re.compile("|".join(row.codes.pattern for row in UNDECODED))


def undecoded_method(name: str, beside: list[str]) -> str | None:
    """The method whose codes a tensor holds, by its name and what is beside it in its module."""
    if not _ANY_CODES.search(name):
        return None
    for row in UNDECODED:
        if row.codes.search(name) and (row.beside in beside if row.beside else len(beside) > 1):
            return row.method
    return None


# ComfyUI states a layer's format in this piece beside its codes.
COMFY_PIECE = "comfy_quant"

MAX_PIECE_BYTES, MAX_PIECE_VALUES = 4096, 256

# Formats whose codes and scales mean what they mean without the piece.
COMFY_PLAIN = ("float8_e4m3fn", "float8_e5m2", "int8_tensorwise")


def comfy_format(piece: bytes | None) -> str:
    """The format of ComfyUI that a piece states, "" if it is read as without the piece.

    Others shuffle their scales (nvfp4, mxfp8) or rotate their weights (convrot). Source: ComfyUI
    comfy/quant_ops.py and comfy-kitchen.
    """
    try:
        stated = json_text.parse(piece or b"", MAX_PIECE_BYTES, MAX_PIECE_VALUES)
        name = str(stated["format"])[:40]
        rotated = bool(stated.get("convrot"))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "unknown format"
    if rotated:
        return f"{name} with convrot"
    return "" if name in COMFY_PLAIN else name
