"""Formulas of quantized storage: stored codes and their scales to the weights they stand for.

All functions work on blocks of whole rows [rows, ...] and give float32, computed in float32 as the
formula says; a library that rounds its result to a 16-bit type differs by that rounding alone.
Packed integers are read as a stream of bits, lowest bit of the lowest byte first; in little-endian
words of 32 bits that is the lowest bit of the first word first, values crossing words or not.

Sources: compressed-tensors (nvfp4, mxfp4, pack-quantized, naive), transformers (finegrained FP8,
MXFP4 of gpt-oss), GPTQModel and AutoGPTQ (GPTQ), AutoAWQ (AWQ GEMM), bitsandbytes (NF4, FP4,
LLM.int8), MLX (affine); the arithmetic of each is tested against vectors that these made.
"""

from functools import lru_cache

import numpy as np

from blockresearch.safetensors.dtypes import code_values


@lru_cache(1)
def e2m1() -> np.ndarray:
    """The values of a 4-bit float (E2M1) by its codes: float32 [16]."""
    return code_values("F4").astype(np.float32)


def unpack_bits(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """`count` unsigned integers of `bits` bits from each row of bytes: uint8 [rows, count]."""
    rows = len(data)
    if bits == 8:
        return data[:, :count]
    if bits in (2, 4):
        per_byte = 8 // bits
        out = np.empty((*data.shape, per_byte), np.uint8)
        for place in range(per_byte):
            np.right_shift(data, place * bits, out=out[..., place])
        out &= (1 << bits) - 1
        return out.reshape(rows, -1)[:, :count]
    # Eight values fill `bits` bytes.
    groups = -(-count // 8)
    padded = np.zeros((rows, groups * bits + 1), np.uint8)
    padded[:, : min(data.shape[1], groups * bits)] = data[:, : groups * bits]
    stream = padded[:, :-1].reshape(rows, groups, bits)
    out = np.empty((rows, groups, 8), np.uint8)
    for place in range(8):
        byte, shift = divmod(place * bits, 8)
        value = stream[..., byte] >> shift
        if shift + bits > 8:
            value |= stream[..., byte + 1] << (8 - shift)
        out[..., place] = value
    out &= (1 << bits) - 1
    return out.reshape(rows, -1)[:, :count]


def unpack_whole(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    """`count` integers of each row of words that hold 32 // bits whole codes, the first lowest.

    `words` uint32 [rows, n]; the result is uint8 [rows, count].
    """
    places = np.arange(32 // bits, dtype=np.uint32) * np.uint32(bits)
    codes = (words[..., None] >> places) & np.uint32((1 << bits) - 1)
    return codes.astype(np.uint8).reshape(len(words), -1)[:, :count]


def nibbles(data: np.ndarray, values: np.ndarray, high_first: bool = False) -> np.ndarray:
    """The values (float32 [16]) that the 4-bit codes in rows of bytes choose, [rows, 2·bytes]."""
    return np.take(_pairs(values.tobytes(), high_first), data).view(np.float32)


@lru_cache(16)
def _pairs(values: bytes, high_first: bool) -> np.ndarray:
    # One look-up yields both values of a byte; complex64 is just a pair of float32.
    table, byte = np.frombuffer(values, np.float32), np.arange(256)
    low, high = table[byte & 15], table[byte >> 4]
    pair = (high, low) if high_first else (low, high)
    return np.ascontiguousarray(np.stack(pair, axis=1)).view(np.complex64).reshape(256)


def integers(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Like `unpack_bits`, but float32 [rows, count]."""
    if bits == 4:
        return nibbles(data, np.arange(16, dtype=np.float32))[:, :count]
    return unpack_bits(data, bits, count).astype(np.float32)


def scale_columns(values: np.ndarray, scales: np.ndarray, width: int) -> np.ndarray:
    """values[i, j] · scales[i, j // width], in place; the last block of columns may be narrower."""
    return _by_column(values, scales, width, np.multiply)


def shift_columns(values: np.ndarray, offsets: np.ndarray, width: int) -> np.ndarray:
    """values[i, j] + offsets[i, j // width], in place."""
    return _by_column(values, offsets, width, np.add)


def _by_column(values: np.ndarray, factors: np.ndarray, width: int, operation) -> np.ndarray:
    rows, cols = values.shape
    width = min(width, cols)  # files may claim blocks of any size
    whole = cols // width
    body = values[:, : whole * width]
    if whole and (whole * width == cols):
        blocks = body.reshape(rows, whole, width)
        operation(blocks, factors[:, :whole, None], out=blocks)
    else:
        operation(values, np.repeat(factors, width, axis=1)[:, :cols], out=values)
    return values


def grouped_integers(
    codes: np.ndarray, scales: np.ndarray, zeros: np.ndarray | float, width: int | np.ndarray
) -> np.ndarray:
    """(codes - zeros) · scales by groups of columns, in place.

    `codes` float32 [rows, cols], `scales` [rows, groups], `zeros` the same shape or one number;
    `width` is the size of a group, or the group of each column [cols].
    """
    if isinstance(width, np.ndarray):
        codes -= zeros[:, width] if isinstance(zeros, np.ndarray) else zeros
        codes *= scales[:, width]
        return codes
    if isinstance(zeros, np.ndarray):
        shift_columns(codes, -zeros, width)
    else:
        codes -= zeros
    return scale_columns(codes, scales, width)
