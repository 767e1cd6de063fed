"""Compile loops with numba, once: the machine code is cached on disk.

A compiled loop may call loops and `inlined` functions of the same room and of this file. Their
machine code is included in that of the loop, so a cache belongs to one state of all these sources.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config as numba_config
from numba import njit, types
from numba.core import event
from numba.extending import intrinsic, register_jitable

PACKAGE = Path(__file__).parent

log = logging.getLogger(__name__)

# numba sets its attributes when it is imported, unseen by type checkers.
config: Any = numba_config


class _Compiling(event.Listener):
    """Logs once in a process that loops are compiled, which takes a quarter of a minute."""

    is_logged = False

    def on_start(self, event: Any) -> None:
        if not self.is_logged:
            log.info("compiling loops, once on this machine")
        self.is_logged = True

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Compiling())


def compiled(function: Callable | None = None, **options: Any) -> Any:
    """numba.njit with the code cached on disk, or in memory if no cache folder is writable."""
    if function is None:
        return lambda f: compiled(f, **options)
    # numba compares the cached code with the file of the function, not with those of its callees.
    given, config.CACHE_DIR = config.CACHE_DIR, cache_folder(function)
    try:
        return njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:
        return njit(nogil=True, **options)(function)
    finally:
        config.CACHE_DIR = given


def inlined(function: Callable) -> Callable:
    """A function that compiled loops call; it stays a plain function in Python."""
    return register_jitable(function)


def cache_folder(function: Callable) -> str:
    """The folder of the machine code of `function`, named by the content of its room's sources.

    Inside NUMBA_CACHE_DIR, if that is set, or beside the sources, or in the user's cache.
    """
    room = Path(function.__code__.co_filename).parent
    while PACKAGE in room.parent.parents:
        room = room.parent
    beside = room / "__pycache__"
    if config.CACHE_DIR:
        base = Path(config.CACHE_DIR)
    elif os.access(beside if beside.exists() else room, os.W_OK):
        base = beside
    else:
        base = Path(os.path.expanduser("~/.cache/blockresearch"))
    return str(base / f"compiled-{_sources_digest(room)}")


@cache
def _sources_digest(room: Path) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(room.rglob("*.py")):
        digest.update(path.relative_to(room).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view of an array [n]: loops are not compiled again for writable buffers."""
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
