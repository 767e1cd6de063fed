"""AWQ (GEMM): 4-bit integers packed along the outputs, with zero points for each group.

    P.qweight  I32 [in, out / 8]
    P.qzeros   I32 [groups, out / 8]
    P.scales   F16 [groups, out]

W[o, i] = scales[g, o] · (code[i, o] - zero[g, o]) with g = i // group_size. A word of 32 bits holds
eight outputs in the order 0 2 4 6 1 3 5 7, the first in its lowest bits. GPTQ has the same names;
its codes are packed along the inputs. Other versions (GEMV, GEMV fast, LLM-AWQ) are not decoded.

Source: AutoAWQ utils/packing_utils.py (`dequantize_gemm`).
"""

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized import settings
from blockresearch.weights.quantized.gptq import packing_format
from blockresearch.weights.quantized.scheme import Format, Found, NotDecoded, Settings, Unfit
from blockresearch.weights.quantized.source import Source
from blockresearch.weights.quantized.unpack import grouped_integers

# Place in its word of 8 of each output column.
NIBBLES = (0, 4, 1, 5, 2, 6, 3, 7)


def unpack_words(words: np.ndarray) -> np.ndarray:
    """The 4-bit codes of words, float32 [8 · n, in], outputs as rows; `words` uint32 [in, n]."""
    packed = np.ascontiguousarray(words.T)
    out = np.empty((packed.shape[0], 8, packed.shape[1]), np.float32)
    for column, nibble in enumerate(NIBBLES):
        out[:, column] = (packed >> np.uint32(4 * nibble)) & np.uint32(15)
    return out.reshape(-1, packed.shape[1])


def open_awq(source: Source) -> Grid:
    """The weights [out, in] as float32."""
    width = source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = unpack_words(source.codes("zeros").view("<u4"))

    def read(first: int, last: int) -> np.ndarray:
        low, high = first // 8, -(-last // 8)
        codes = unpack_words(packed[:, low:high])[first - 8 * low : last - 8 * low]
        return grouped_integers(codes, scales[first:last], zeros[first:last], width)

    return Grid((outputs, inputs), "F32", read)


def read_awq(found: Found) -> Settings:
    """Settings by names and shapes, as the config allows.

    Raises Unfit if shapes or config contradict the layout, NotDecoded if the config names another
    version or number of bits of AWQ.
    """
    words, scales, zeros = found.owner[1], found.shape("scale"), found.shape("zeros")
    shapes = f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}"
    own = settings.of_module(found.config, found.module)
    method, packing = settings.method_of(own), packing_format(own)
    version = str(own.get("version") or own.get("checkpoint_format") or "gemm").lower()
    if method == "awq" and version != "gemm":
        raise NotDecoded(f"the version {version} of AWQ")
    bits = own.get("bits")
    if (method == "awq" or "awq" in packing) and type(bits) is int and bits != 4:
        raise NotDecoded(f"AWQ of {bits} bits")
    if len(words) != 2 or len(scales) != 2 or zeros != (scales[0], words[1]):
        raise Unfit(shapes)
    groups, outputs = scales
    if words[1] * 8 != outputs or not groups or words[0] % groups:
        raise Unfit(shapes)
    if method == "gptq" or (packing and "awq" not in packing):
        raise Unfit(f"{shapes} are those of AWQ, but the config says {packing or method}")
    width, stated = words[0] // groups, own.get("group_size")
    if type(stated) is int and stated > 0 and -(-words[0] // stated) != groups:
        raise Unfit(f"{words[0]} inputs in groups of {stated} have not {groups} groups")
    return "awq", "awq", (outputs, words[0]), {"width": width}


FORMATS = (
    Format(
        ".qweight",
        frozenset({"I32", "U32"}),
        {"scale": ".scales", "zeros": ".qzeros"},
        {},
        read_awq,
        frozenset({"awq", "auto-round"}),
    ),
)

FORMULAS = {"awq": open_awq}
