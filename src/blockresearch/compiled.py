"""Compile loops with numba, once: the machine code is cached on disk."""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """numba.njit with the code cached on disk, or in memory where no cache folder is writable."""
    if function is None:
        return lambda f: compiled(f, **options)
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return njit(nogil=True, **options)(function)


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view: the loops are compiled once, not again for buffers that can be written."""
    view = array.view()
    view.flags.writeable = False
    return view


@intrinsic
def float_of(typing_context, code, shift):
    """The float whose bits are `code << shift`, of the width of `shift` (uint32 or uint64)."""
    result = types.float32 if shift == types.uint32 else types.float64
    bits = ir.FloatType() if shift == types.uint32 else ir.DoubleType()

    def build(context, builder, signature, arguments):
        wide = context.cast(builder, arguments[0], code, shift)
        return builder.bitcast(builder.shl(wide, arguments[1]), bits)

    return result(code, shift), build
