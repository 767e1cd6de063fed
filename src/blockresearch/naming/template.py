"""A single name: cut into its template, and its segments looked up in the tables.

Names that differ in numbers only share a template: `model.layers.3.mlp.experts.7.w1.weight` is
`model.layers.#.mlp.experts.#.w1.weight` with the numbers 3 and 7.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from blockresearch.naming import adapter_names, patterns
from blockresearch.naming.patterns import Block

# Characters. No parameter of a real model has a longer name; a hostile header may.
MAX_NAME_CHARACTERS = 512


def whole_words(words: str) -> re.Pattern[str]:
    """A pattern that fully matches each of the words."""
    escaped = (re.escape(word) for word in words.split())
    return re.compile(
        "|".join(word.replace(r"\*", "[^.]*").replace(r"\?", "[^.]") for word in escaped)
    )


class _Endings:
    """Which rows of a table of blocks the ending of a path matches.

    Most words are plain and looked up; only those with wildcards are tried one by one. The last n
    segments count, as many as the word has; a word with `^` is the whole path (n = 0).
    """

    def __init__(self, rows: tuple[Block, ...]):
        self.rows = rows
        self.longest = 0
        self._plain: dict[tuple[int, str], list[int]] = {}
        self._wild: list[tuple[int, int, re.Pattern[str]]] = []
        for number, row in enumerate(rows):
            wild: dict[int, list[str]] = {}
            for word in row.words.split():
                length = 0 if word.startswith("^") else word.count(".") + 1
                self.longest = max(self.longest, length)
                if "*" in word or "?" in word:
                    wild.setdefault(length, []).append(word.lstrip("^"))
                else:
                    self._plain.setdefault((length, word.lstrip("^")), []).append(number)
            self._wild += [(number, n, whole_words(" ".join(group))) for n, group in wild.items()]

    def first(self, path: str, zone: str | None, before: int) -> int:
        """Number of the first row below `before` that a lower-case path matches, else `before`."""
        segments = path.split(".")
        tails = [path, *(".".join(segments[-n:]) for n in range(1, self.longest + 1))]
        for tail in enumerate(tails):
            for number in self._plain.get(tail, ()):
                if number < before and self._applies(number, zone):
                    before = number
        for number, n, pattern in self._wild:
            if number >= before:
                break
            if self._applies(number, zone) and pattern.fullmatch(tails[n]):
                return number
        return before

    def _applies(self, number: int, zone: str | None) -> bool:
        zones = self.rows[number].zones
        return not zones or zone in zones


_PRIORITY = tuple(dict.fromkeys(row.name for row in patterns.COMPONENTS))

_CONTAINER = whole_words(patterns.LAYER_CONTAINERS)

_LAYER_LIST = whole_words(patterns.LAYER_LISTS)

_NO_CONTAINER = whole_words(patterns.NOT_LAYERS)

# A separate segment, or at the end of `expert_3` and of Megatron's `experts.linear_fc1.weight3`.
_NUMBER = re.compile(
    r"((?<![^.])[0-9]{1,9}(?![^.])|(?<=\.expert_)[0-9]{1,9}(?![^.])"
    r"|(?<=\.linear_fc[12]\.weight)[0-9]{1,9}$|(?<=\.linear_fc[12]\.bias)[0-9]{1,9}$)"
)

# What experts have lists of: `experts.gate_up_projs.3`, `experts.w1.3`.
_EXPERT_LISTS = {"gate_proj", "up_proj", "down_proj", "gate_up_proj"}

_SUFFIX = re.compile(r"_(?:weight|bias)$")

_STACK_SIDE = re.compile(r"(?:.*_)?(encoder|decoder)")

_COMPONENTS = [(row.name, whole_words(row.words)) for row in patterns.COMPONENTS]

_ZONES = [(zone, whole_words(words)) for zone, words in patterns.ZONES.items()]

_CONTEXTS = [(context, whole_words(words)) for words, context in patterns.CONTEXTS]

_BUFFERS = [(row.ndim, whole_words(row.words)) for row in patterns.BUFFERS]

_BLOCKS = _Endings(patterns.BLOCKS + patterns.FALLBACKS)


def _first(table: list[tuple[str, re.Pattern[str]]], word: str) -> str | None:
    return next((name for name, pattern in table if pattern.fullmatch(word)), None)


@lru_cache(4096)
def component_of(segment: str) -> str | None:
    """Component that a segment of a name indicates, if any."""
    return _first(_COMPONENTS, segment.lower())


@lru_cache(4096)
def zone_of(segment: str) -> str | None:
    """Zone that a segment of a name opens, if any."""
    return _first(_ZONES, segment.lower())


@lru_cache(4096)
def context_of(segment: str) -> str | None:
    """Word that a segment puts in front of the names of attention matrices, if any."""
    return _first(_CONTEXTS, segment.lower())


def nearest_zone(path: tuple[str, ...]) -> str | None:
    """Zone of the module at the end of a path: the nearest one above it."""
    return next(filter(None, map(zone_of, reversed(path[:-1]))), None)


@lru_cache(16384)
def find_block(path: tuple[str, ...]) -> tuple[Block, str] | None:
    """The first row of the tables that a module's path matches, and the name of the module.

    A last segment such as `in_proj_bias` is read both in full and without its `_bias`.
    """
    if not path:
        return None
    zone = nearest_zone(path)
    above = "".join(f"{segment.lower()}." for segment in path[:-1])
    found, name = len(_BLOCKS.rows), path[-1]
    for spelling in dict.fromkeys((path[-1], _SUFFIX.sub("", path[-1]))):
        row = _BLOCKS.first(above + spelling.lower(), zone, found)
        if row < found:
            found, name = row, spelling
    return (_BLOCKS.rows[found], name) if found < len(_BLOCKS.rows) else None


@lru_cache(16384)
def is_unlearned(segment: str, ndim: int) -> bool:
    """Whether the last segment of a name belongs to a buffer."""
    word = segment.lower()
    return any(dims in (None, ndim) and words.fullmatch(word) for dims, words in _BUFFERS)


def is_companion(name: str) -> bool:
    """Whether a tensor only helps to decode a quantized weight and contains none of its values."""
    suffix = patterns.QUANTIZATION.search(name)
    return suffix is not None and not suffix[0].endswith(tuple(patterns.QUANTIZED_CODES.split()))


def split(name: str) -> tuple[str, list[str]]:
    """The template of a name, with "#" for its numbers, and the numbers."""
    if len(name) > MAX_NAME_CHARACTERS or "#" in name:
        return "?", []
    parts = _NUMBER.split(adapter_names.canonical(name))
    return "#".join(parts[::2]), parts[1::2]


class Template(NamedTuple):
    """The parts of a name. `prefix` and `path` leave out the numbers.

    prefix      segments above the container of the layers; () outside layers
    path        segments from that container (or the start) to the module
    leaf        "weight", "bias", ...; "" of a bare parameter
    suffix      characters of a quantization suffix at the end of the name; 0 without one
    layer       which of the numbers in the name is the layer
    expert      which is the expert
    adapter     "lora_A" and the like
    component   None if no word indicates it
    """

    prefix: tuple[str, ...]
    path: tuple[str, ...]
    leaf: str
    suffix: int
    layer: int | None
    expert: int | None
    adapter: str
    component: str | None

    @property
    def stack(self) -> tuple[str, ...]:
        """Path of the container of the layers."""
        return self.prefix + self.path[:1]

    @property
    def module(self) -> tuple[str, ...]:
        """Path of the module's parent; modules with the same parent are neighbors."""
        return self.prefix + self.path[:-1]


def _listed(segments: list[str]) -> str | None:
    """The projection that a list below experts has an entry of for each of them, else None."""
    above, name = segments
    if zone_of(above) != "expert":
        return None
    for one in dict.fromkeys((name.removesuffix("s"), name)):
        found = find_block((above, one))
        if found and found[0].block_type in _EXPERT_LISTS:
            return one
    return None


@lru_cache(16384)
def take_apart(template: str) -> Template:
    """Read a template as `split` makes it."""
    name = template
    if template.startswith("base_model."):
        name = template.removeprefix("base_model.").removeprefix("model.")
    suffix = patterns.QUANTIZATION.search(name)
    segments = (name[: suffix.start()] if suffix else name).split(".")
    adapter = next((s for s in segments if adapter_names.method_of(s)), "")
    if adapter:
        segments = segments[: segments.index(adapter)]
    found = {component_of(segment) for segment in segments}
    component = next((c for c in _PRIORITY if c in found), None)
    segments = [
        segment
        for above, segment in zip(["", *segments], segments, strict=False)
        # The name of the adapter stands behind its copy of a module.
        if segment not in patterns.WRAPPERS
        and not (segment == "default" and above in patterns.WRAPPERS)
    ]
    leaf = "weight" if suffix or adapter else ""
    if segments and segments[-1] in ("weight#", "bias#"):
        leaf, segments[-1] = segments[-1][:-1], "#"
    if not leaf:
        while len(segments) > 1 and segments[-1].lower() in patterns.LEAVES:
            leaf = segments.pop().lower()

    layer = expert = None
    start, number = 0, -1
    for i, segment in enumerate(segments):
        above = segments[i - 1].lower() if i else ""
        number += "#" in segment
        if segment == "#" and layer is None and not _NO_CONTAINER.fullmatch(above):
            holds_module = i + 1 < len(segments) or leaf not in ("", "weight", "bias")
            if (holds_module and _CONTAINER.fullmatch(above)) or _LAYER_LIST.fullmatch(above):
                layer, start = number, i - 1
        numbers_expert = segment == "expert_#" or (segment == "#" and zone_of(above) == "expert")
        if segment == "#" and i > 1 and expert is None and (one := _listed(segments[i - 2 : i])):
            segments[i - 1], numbers_expert = one, True
        if numbers_expert and expert is None:
            expert = number
    return Template(
        prefix=tuple(s for s in segments[:start] if s != "#"),
        path=tuple(s for s in segments[start:] if s != "#"),
        leaf=leaf,
        suffix=len(name) - suffix.start() if suffix else 0,
        layer=layer,
        expert=expert,
        adapter=adapter,
        component="adapter" if adapter or name is not template else component,
    )


def stack_side(segments: tuple[str, ...]) -> str | None:
    """The side of an encoder-decoder model that a segment names first, if any."""
    sides = filter(None, map(_STACK_SIDE.fullmatch, map(str.lower, segments)))
    return next((side[1] for side in sides), None)
