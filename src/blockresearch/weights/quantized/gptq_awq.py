"""GPTQ and AWQ, the two schemes that share the names qweight, qzeros and scales."""

import math

import numpy as np

from blockresearch.weights.grid import Grid
from blockresearch.weights.quantized.source import Found, Settings, Unfit, _group_of_column, _Source
from blockresearch.weights.quantized.unpack import grouped_integers, integers, unpack_bits

# Place in its word of 8 of each output column (AutoAWQ packs columns 0 2 4 6 1 3 5 7).
AWQ_NIBBLES = (0, 4, 1, 5, 2, 6, 3, 7)


def awq_integers(words: np.ndarray) -> np.ndarray:
    """The 4-bit codes of AWQ GEMM words, float32.

    `words` uint32 [in, n] hold 8 output columns each; the result is [8·n, in], outputs as rows.
    """
    packed = np.ascontiguousarray(words.T)
    out = np.empty((packed.shape[0], 8, packed.shape[1]), np.float32)
    for column, nibble in enumerate(AWQ_NIBBLES):
        out[:, column] = (packed >> np.uint32(4 * nibble)) & np.uint32(15)
    return out.reshape(-1, packed.shape[1])


def gptq_zeros(words: np.ndarray, bits: int, outputs: int, plus_one: bool) -> np.ndarray:
    """Zero points of GPTQ, float32 [groups, outputs], from words [groups, outputs·bits/32].

    Files of the first version store them less one (`plus_one`), modulo 2^bits.
    """
    data = np.ascontiguousarray(words).view(np.uint8)
    zeros = unpack_bits(data, bits, outputs)
    if plus_one:
        zeros = (zeros.astype(np.uint16) + 1) & ((1 << bits) - 1)
    return zeros.astype(np.float32)


def _gptq(source: _Source) -> Grid:
    bits, width = source.settings["bits"], source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = gptq_zeros(source.codes("zeros"), bits, outputs, source.settings["plus_one"])
    zeros = np.ascontiguousarray(zeros.T)
    groups: int | np.ndarray = width
    if source.has("g_idx"):
        groups = _group_of_column(source, inputs, width, scales.shape[1])

    def read(first: int, last: int) -> np.ndarray:
        stream = np.ascontiguousarray(packed[:, first:last].T).view(np.uint8)
        codes = np.ascontiguousarray(integers(stream, bits, inputs))
        return grouped_integers(codes, scales[first:last], zeros[first:last], groups)

    return Grid((outputs, inputs), "F32", read)


def _awq(source: _Source) -> Grid:
    width = source.settings["width"]
    outputs, inputs = source.shape
    packed = source.words()
    scales = np.ascontiguousarray(source.values("scale").T)
    zeros = awq_integers(source.codes("zeros").view("<u4"))

    def read(first: int, last: int) -> np.ndarray:
        low, high = first // 8, -(-last // 8)
        codes = awq_integers(packed[:, low:high])[first - 8 * low : last - 8 * low]
        return grouped_integers(codes, scales[first:last], zeros[first:last], width)

    return Grid((outputs, inputs), "F32", read)


def gptq_or_awq(found: Found) -> Settings:
    """The two schemes that share the names qweight, qzeros and scales."""
    words, scales, zeros = found.owner[1], found.shape("scale"), found.shape("zeros")
    if len(words) != 2 or len(scales) != 2 or len(zeros) != 2 or zeros[0] != scales[0]:
        raise Unfit(f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}")
    groups, outputs = scales
    if "g_idx" not in found.by_role and words[1] * 8 == outputs:
        if zeros[1] * 8 != outputs or not groups or words[0] % groups:
            raise Unfit(f"words {list(words)}, zero points {list(zeros)}, scales {list(scales)}")
        return "awq", "awq", (outputs, words[0]), {"width": words[0] // groups}
    if words[1] != outputs:
        raise Unfit("codes are packed along the inputs in an order that is not known (AWQ GEMV?)")
    bits = found.config.get("bits")
    if "g_idx" in found.by_role:
        inputs = math.prod(found.shape("g_idx"))
        bits = words[0] * 32 // inputs if inputs else 0
    elif type(bits) is int and bits > 0:
        inputs = words[0] * 32 // bits
    form = found.config.get("checkpoint_format")
    if bits not in (2, 3, 4, 8) or form == "gptq_p" or -(-inputs * bits // 32) != words[0]:
        raise Unfit(f"words of shape {list(words)} are not 2, 3, 4 or 8 bits in a row")
    if -(-outputs * bits // 32) != zeros[1] or not groups:
        raise Unfit(f"zero points of shape {list(zeros)} do not fit {outputs} outputs")
    group = found.config.get("group_size")
    width = group if type(group) is int and group > 0 else -(-inputs // groups)
    if -(-inputs // width) != groups:
        width = -(-inputs // groups)
    settings = {"bits": bits, "width": width, "plus_one": form != "gptq_v2"}
    return "gptq", "gptq", (outputs, inputs), settings
