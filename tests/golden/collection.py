"""What the scripts of this folder share: a collection of cases, and random choices.

A file of cases holds for each the bytes of its tensors, `case/name`, the library's weights as
float32, `case`, and `cases`: JSON with the types and shapes, the quantization part of config, the
library and its version, and in `rounded` the 16-bit type that the library computes in, if any.
"""

import json
import zlib

import numpy as np
import torch

CODES = {
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int32: "I32",
    torch.int64: "I64",
}


class Collection:
    """Cases by name, as they are added."""

    def __init__(self):
        self.arrays, self.cases = {}, {}

    def load(self, path):
        """Add the cases of a file."""
        with np.load(path) as data:
            self.cases |= json.loads(data["cases"].tobytes())
            self.arrays |= {name: data[name] for name in data.files if name != "cases"}

    def add(self, case, tensors, weight, config=None, rounded=None, types=None, library=None):
        """Add stored tensors and the library's weight; `types`: types beyond torch."""
        described = {}
        for name, tensor in tensors.items():
            # Of one column a copy may keep its odd strides.
            plain = torch.empty(tensor.numel(), dtype=tensor.dtype).copy_(tensor.reshape(-1))
            self.arrays[f"{case}/{name}"] = plain.view(torch.uint8).numpy()
            dtype = (types or {}).get(name) or CODES[tensor.dtype]
            described[name] = [dtype, list(tensor.shape)]
        self.arrays[case] = weight.detach().float().numpy()
        if rounded is None and weight.dtype != torch.float32:
            rounded = CODES[weight.dtype]
        about = {"tensors": described, "config": config or {}, "rounded": rounded}
        self.cases[case] = about | ({"library": library} if library else {})

    def drop(self, library):
        """Remove the cases of a library."""
        gone = {case for case, about in self.cases.items() if about["library"][0] == library}
        self.cases = {case: about for case, about in self.cases.items() if case not in gone}
        self.arrays = {n: a for n, a in self.arrays.items() if n.partition("/")[0] not in gone}

    def save(self, path):
        """Write all cases to a file."""
        described = np.frombuffer(json.dumps(self.cases).encode(), np.uint8)
        np.savez_compressed(path, cases=described, **self.arrays)


class Draw:
    """Random choices of one case."""

    def __init__(self, case):
        seed = zlib.crc32(case.encode())
        self.random = np.random.default_rng(seed)
        self.generator = torch.Generator().manual_seed(seed)

    def one(self, *choices):
        return choices[self.random.integers(len(choices))]

    def size(self, low, high, step=1):
        return int(self.random.integers(low, high + 1)) * step

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator) * 0.05

    def integers(self, low, high, *shape):
        return torch.randint(low, high, shape, generator=self.generator)
