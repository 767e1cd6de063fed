"""Headers made to harm: refused at once, in little memory; mutated ones judged as the library does.

The reference is the safetensors library itself, which reads the same bytes.
"""

import json
import random
import re
import subprocess
import sys

import pytest
import safetensors

from blockresearch.safetensors.header import (
    MAX_HEADER_BYTES,
    MAX_HEADER_VALUES,
    SafetensorsError,
    parse_header,
)
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

M = MAX_HEADER_BYTES


def entry(dtype='"F32"', shape="[1]", offsets="[0,4]", more=""):
    return f'{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}{more}}}'


def empty_tensors(count):
    each = ",".join(f'"{number}":{entry(shape="[0]", offsets="[0,0]")}' for number in range(count))
    return "{" + each


BOMBS = {
    "brackets": lambda: "[" * M,
    "brackets in an entry": lambda: '{"t":' + "[" * (M - 5),
    "braces": lambda: '{"t":' * (M // 5),
    "a number of millions of digits": lambda: (
        '{"t":' + entry(shape="[" + "9" * (M - 99) + "]") + "}"
    ),
    "millions of empty lists": lambda: '{"t":[' + "[]," * (M // 3 - 9) + "0]}",
    "millions of empty objects": lambda: (
        '{"t":' + entry(more=',"x":[' + "{}," * (M // 3 - 30) + "0]")
    ),
    "millions of dimensions": lambda: (
        '{"t":' + entry(shape="[" + "1," * (M // 2 - 60) + "1]") + "}"
    ),
    "millions of small members": lambda: (
        "{" + ",".join(f'"{number:x}":0' for number in range(2_100_000)) + "}"
    ),
    "more tensors than allowed": lambda: empty_tensors(300_000) + "}",
    "many tensors, then a flaw": lambda: empty_tensors(99_000) + ',"x":1}',
    "a tensor name of megabytes": lambda: '{"' + "a" * (M - 99) + '":' + entry(dtype='"F33"') + "}",
    "a name of escapes": lambda: '{"' + "\\u0041" * (M // 6 - 9) + '":0}',
    "a name of quotes": lambda: '{"' + '\\"' * (M // 2 - 9) + '":0}',
    "a name without end": lambda: '{"' + '\\"' * (M // 2 - 9),
    "spaces": lambda: " " * M,
    "spaces in an entry": lambda: '{"t":{"dtype":' + " " * (M - 99) + '"F32"}}',
    "wide characters": lambda: '{"' + "😀" * (M // 4 - 9) + '":0}',
    "metadata of numbers": lambda: '{"__metadata__":{"a":[' + "1," * (M // 2 - 40) + "1]}}",
    "over the limit": lambda: "[" * 100_000_000,
    "a length of 2^64-1": lambda: None,
    "as many members as allowed": lambda: (
        "{" + ",".join(f'"{number:x}":0' for number in range(MAX_HEADER_VALUES - 3)) + "}"
    ),
    "as many objects as allowed": lambda: (
        '{"t":[' + ",".join(['{"a":0}'] * (MAX_HEADER_VALUES // 2 - 2)) + "]}"
    ),
}
PROBE = r"""
import re, sys
from blockresearch.safetensors.reader import read_header
try:
    read_header(sys.argv[1])
except Exception as error:
    print(type(error).__name__, len(str(error)))
print(int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) / 1024)
"""


def probe(path, code=PROBE):
    """What a process that reads the header prints, line by line."""
    run = subprocess.run(
        [sys.executable, "-c", code, path], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert not run.returncode, run.stderr
    return run.stdout.splitlines()


# Those that take seconds; the others go through the same code.
LONG_BOMBS = (
    "as many members as allowed",
    "as many objects as allowed",
    "many tensors, then a flaw",
    "millions of small members",
    "over the limit",
)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.slow) if kind in LONG_BOMBS else kind for kind in BOMBS],
)
def test_a_bomb_is_refused_in_bounded_memory(kind, tmp_path):
    path = tmp_path / "m.safetensors"
    text = (BOMBS[kind]() or "").encode()
    length = len(text) or 2**64 - 1
    path.write_bytes(length.to_bytes(8, "little") + text + bytes(8))
    verdict, megabytes = probe(path)
    path.unlink()
    assert verdict.startswith("SafetensorsError") and int(verdict.split()[1]) < 1000
    assert float(megabytes) < 300


def test_the_largest_header_takes_bounded_memory(tmp_path):
    path = tmp_path / "m.safetensors"
    text = (empty_tensors(100_000) + "}").encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    limited = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n" + PROBE
    (megabytes,) = probe(path, limited)
    assert float(megabytes) < 300


SEEDS = [
    ({"w": ["F32", [2, 3], 24]}, {}),
    ({"a": ["BF16", [4], 8], "b": ["F32", [2, 2], 16], "c": ["I64", [], 8]}, {"format": "pt"}),
    ({"é\U0001f600": ["U8", [0, 7], 0], 'q"\\': ["F4", [4], 2], "x": ["F8_E4M3", [3], 3]}, None),
    ({"p": ["BOOL", [2, 2], 4], "q": ["F64", [1, 1, 1], 8]}, {"a": "b", "c": "\u0000ü"}),
    ({}, {"only": "metadata"}),
    ({}, None),
]
WORDS = [
    word.encode("utf-8", "surrogateescape")
    for word in (
        *"0 1 -1 -0 1.0 1e3 01 +1 2 4 8 16 18446744073709551615 9223372036854775808".split(),
        *"9223372036854775807 4294967296 1e999 NaN Infinity null true false [] {} [[]]".split(),
        *'"" "F32" "F16" "F4" "F6_E2M3" "F33" "f32" "dtype" "shape" "data_offsets"'.split(),
        *'"__metadata__" {"F32":null} ["F32",[2,3],[0,24]] "\\ud800" "\\u0000"'.split(),
        *'"\\ud83d\\ude00" [0,0] [0,24] "x":1, "x":{"y":[1]}, "dtype":"F32", "w": "t":'.split(),
        *', : [ ] { } \\ " "format":"np", "\\u0077": /**/ # //'.split(),
        *" \t\n\r\x0b\xa0\x00\x1f\x7f\ufeff\udcff",
        "\udced\udca0\udc80",
        "[" * 130 + "]" * 130,
    )
]
# Places where a structured change is most telling: values, members, signs.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+|[\[\]{}:,]')


def seed_header(number):
    tensors, metadata = SEEDS[number]
    position, header = 0, {}
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, (dtype, shape, size) in tensors.items():
        offsets = [position, position + size]
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": offsets}
        position += size
    separators = (",", ":") if number % 2 else None
    ascii_only = bool(number % 3)
    return json.dumps(header, separators=separators, ensure_ascii=ascii_only).encode(), position


def mutated(text, chance):
    """`text` with one to three changes: of bytes, of tokens, of the order of pieces."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        kind = chance.randrange(8)
        place = chance.randrange(len(text) + 1)
        tokens = list(TOKEN.finditer(text))
        if kind == 0 and text:
            place %= len(text)
            text = text[:place] + bytes([chance.randrange(256)]) + text[place + 1 :]
        elif kind == 1:
            text = text[:place] + text[place + chance.randrange(1, 9) :]
        elif kind == 2:
            text = text[:place] + chance.choice(WORDS) + text[place:]
        elif kind == 3 and tokens:
            token = chance.choice(tokens)
            text = text[: token.start()] + chance.choice(WORDS) + text[token.end() :]
        elif kind == 4 and len(tokens) > 1:
            one, other = sorted(chance.sample(tokens, 2), key=lambda token: token.start())
            between = text[one.end() : other.start()]
            text = text[: one.start()] + other[0] + between + one[0] + text[other.end() :]
        elif kind == 5 and tokens:
            start, end = sorted((place, chance.randrange(len(text) + 1)))
            text = text[:end] + text[start:end] + text[end:]
        elif kind == 6 and tokens:
            token = chance.choice(tokens)
            text = text[: token.end()] + chance.choice(WORDS) + text[token.end() :]
        elif kind == 7:
            numbers = [token for token in tokens if token[0].isdigit()]
            if numbers:
                token = chance.choice(numbers)
                value = max(0, int(token[0]) + chance.choice((-8, -4, -1, 1, 4, 8)))
                text = text[: token.start()] + str(value).encode() + text[token.end() :]
    return text


# What the library lets pass, by the words of our refusal; a duplicate may hide another flaw.
KNOWN_KINDS = {
    "duplicate key": "occurs twice",
    "array for an object": "is not an object of dtype",
    "object for a dtype": "has a dtype that is not a text",
    "impossible shape": "overflow 63 bits",
}


def has_duplicates(text):
    twice = []
    json.loads(text, object_pairs_hook=lambda pairs: twice.append(len(dict(pairs)) < len(pairs)))
    return any(twice)


def by_the_library(text, body):
    """name → (dtype, shape, bytes) as the reference reads the file, None where it refuses."""
    try:
        found = safetensors.deserialize(len(text).to_bytes(8, "little") + text + body)
    except safetensors.SafetensorError:
        return None
    return {name: (view["dtype"], tuple(view["shape"]), len(view["data"])) for name, view in found}


def by_us(text, body):
    try:
        header = parse_header(text, 8 + len(text) + len(body), "m")
    except SafetensorsError as error:
        return str(error)
    return {tensor.name: (tensor.dtype, tensor.shape, tensor.nbytes) for tensor in header.tensors}


def differences(mutations, seed):
    """Kinds of headers that the library accepts and we refuse, with how many of each there were."""
    chance, seen = random.Random(seed), dict.fromkeys(KNOWN_KINDS, 0)
    seeds = [seed_header(number) for number in range(len(SEEDS))]
    accepted = 0
    for _ in range(mutations):
        text, size = chance.choice(seeds)
        text, body = mutated(text, chance), bytes(size)
        ours, theirs = by_us(text, body), by_the_library(text, body)
        accepted += theirs is not None
        if ours == theirs or (isinstance(ours, str) and theirs is None):
            continue
        assert isinstance(ours, str) and theirs is not None, (text, ours, theirs)
        kind = next((kind for kind, words in KNOWN_KINDS.items() if words in ours), None)
        kind = "duplicate key" if has_duplicates(text) else kind
        assert kind, (text, ours, theirs)
        seen[kind] += 1
    assert mutations * 0.02 < accepted < mutations * 0.9, "the mutations are too wild or too tame"
    return seen


def test_mutated_headers_are_judged_as_by_the_library():
    assert differences(20_000, seed=1)["duplicate key"]


@pytest.mark.slow
def test_a_million_mutated_headers():
    seen = differences(1_000_000, seed=2)
    assert all(seen[kind] for kind in ("duplicate key", "object for a dtype"))
