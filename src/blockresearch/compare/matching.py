"""Match the tensors of two checkpoints, and account for each of them.

An item of one side is matched with one of the other by the first rule that finds a partner which
is unique on both sides:

    name         the same name and the same shape
    prefix       the same name without the prefixes that libraries add (`model.`, `transformer.` …)
    role         the same place in the model and the same shape: covers fused and split projections,
                 stacked and separate experts, and other spellings
    content      the same stored bytes at another place (moved), or once more (copied)
    similarity   the same shape and kind, and the most similar names; the score is reported

Between `role` and `content` come pairs that differ in shape: tables of tokens with another number
of rows, the same elements in another shape, and an output layer that one side ties to its
embedding. A tensor of a layer that has the bytes of exactly one tensor of the base is matched with
that one, under any name: once layers were inserted, names mean nothing. What has no partner is
listed as existing on one side only.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare.items import Item, items_of

# Names less similar than this are not matched.
LEAST_SIMILARITY = 0.6

# Items of one shape among which similar names are searched; more would take minutes.
MAX_SIMILAR = 300

Key = Callable[[Item], Hashable]


@dataclass(frozen=True, slots=True)
class Pair:
    """One line of the table pairs.

    status   matched, renamed, moved, copied, resized, reshaped, tied, untied, only_base or
             only_other; the base of a copied one is matched elsewhere too
    rule     name, prefix, role, content or similarity; empty for an item without a partner
    score    similarity of the names, for the rule similarity
    note     what else is known, e.g. the shape of a namesake that does not fit
    """

    status: str
    base: Item | None
    other: Item | None
    rule: str = ""
    score: float | None = None
    note: str = ""

    @property
    def is_compared(self) -> bool:
        """Whether both sides exist."""
        return self.base is not None and self.other is not None

    @property
    def either(self) -> Item:
        """The item of the base, or that of the other side if the base has none."""
        item = self.base or self.other
        assert item is not None
        return item


@dataclass
class _Rest:
    """Items without a partner so far, in the order of their checkpoint."""

    base: list[Item]
    other: list[Item]
    pairs: list[Pair] = field(default_factory=list)

    def take(self, found: Iterable[Pair]) -> None:
        """Keep pairs and remove their items."""
        found = list(found)
        self.pairs += found
        taken = {id(item) for pair in found for item in (pair.base, pair.other)}
        self.base = [item for item in self.base if id(item) not in taken]
        self.other = [item for item in self.other if id(item) not in taken]

    def unique(self, key: Key, other_key: Key | None = None) -> list[tuple[Item, Item]]:
        """Pairs of items with equal keys, if the key is unique on both sides; None is no key."""
        base, other = _by_key(self.base, key), _by_key(self.other, other_key or key)
        both = [found for found in base if found in other]
        return [
            (base[found][0], other[found][0])
            for found in both
            if len(base[found]) == len(other[found]) == 1
        ]


def match(
    base: Manifest,
    other: Manifest,
    base_content: Mapping[str, str] | None = None,
    other_content: Mapping[str, str] | None = None,
) -> list[Pair]:
    """Every item of both checkpoints in exactly one pair, in the order of the base.

    `…_content` are hashes of the stored bytes by the names of tensors; without them nothing is
    recognized as moved.
    """
    items = items_of(base), items_of(other)
    order = {id(item): number for number, item in enumerate([*items[0], *items[1]])}
    rest = _Rest(*items)
    sources = _sources(*items, base_content or {}, other_content or {})
    for rule, key in (
        ("name", lambda item: (item.tensor.name, item.matrix.slice)),
        ("prefix", lambda item: item.stem),
        ("role", lambda item: item.place),
    ):
        same_shape = [
            (mine, theirs)
            for mine, theirs in rest.unique(key)
            if mine.shape == theirs.shape and sources.get(id(theirs), mine) is mine
        ]
        rest.take(_pair(rule, *pair) for pair in same_shape)
    for rule, key in (("prefix", lambda item: item.stem), ("role", lambda item: item.place)):
        rest.take(filter(None, (_other_shape(rule, *pair) for pair in rest.unique(key))))
    rest.take(_untied(base, other, items[0], rest.other))
    rest.take(_tied(base, other, rest.base, items[1]))
    rest.take(_moved(rest, base_content or {}, other_content or {}))
    rest.take(
        Pair("copied", sources[id(item)], item, "content")
        for item in rest.other
        if id(item) in sources
    )
    rest.take(_similar(rest))
    namesakes = _by_key(rest.base + rest.other, lambda item: item.stem)
    alone = [Pair("only_base", item, None, note=_note(item, namesakes)) for item in rest.base]
    alone += [Pair("only_other", None, item, note=_note(item, namesakes)) for item in rest.other]
    return sorted(rest.pairs + alone, key=lambda pair: order[id(pair.either)])


def compared_shares(pairs: Iterable[Pair]) -> tuple[float, float]:
    """Share of the elements of each side that have a partner: (of the base, of the other)."""
    found, total = [0, 0], [0, 0]
    for pair in pairs:
        for side, item in enumerate((pair.base, pair.other)):
            # An item that is matched more than once is counted where it is matched as itself.
            if item is None or pair.status in (("untied", "copied"), ("tied",))[side]:
                continue
            total[side] += item.numel
            found[side] += item.numel if pair.is_compared else 0
    base, other = (a / b if b else 0.0 for a, b in zip(found, total, strict=True))
    return base, other


def copies(
    pairs: Sequence[Pair], base_content: Mapping[str, str], other_content: Mapping[str, str]
) -> dict[str, str]:
    """Tensors of the other side with the bytes of a base tensor that is not their partner.

    Returns {name on the other side: name in the base}. Tensors with bytes that occur several times
    in the base, such as norms of ones, are left out.
    """
    names = defaultdict(list)
    for name, content in base_content.items():
        names[content].append(name)
    found = {}
    for pair in pairs:
        if pair.other is None or not pair.other.is_whole:
            continue
        name = pair.other.tensor.name
        sources = names.get(other_content.get(name, ""), [])
        partner = pair.base.tensor.name if pair.base else None
        if len(sources) == 1 and sources[0] != partner:
            found[name] = sources[0]
    return found


def _sources(
    base: list[Item], other: list[Item], base_content: Mapping[str, str], other_content: Mapping
) -> dict[int, Item]:
    """For items of layers, by id, the only item of the base with the same bytes and shape."""
    by_content = _by_key(
        [item for item in base if _is_in_layer(item)],
        lambda item: base_content.get(item.tensor.name),
    )
    found = {}
    for item in filter(_is_in_layer, other):
        same = by_content.get(other_content.get(item.tensor.name), [])
        if len(same) == 1 and same[0].shape == item.shape:
            found[id(item)] = same[0]
    return found


def _is_in_layer(item: Item) -> bool:
    return item.is_whole and item.tensor.role.layer_index is not None


def _by_key(items: Iterable[Item], key: Key) -> dict[Hashable, list[Item]]:
    found = defaultdict(list)
    for item in items:
        if (value := key(item)) is not None:
            found[value].append(item)
    return found


def _pair(rule: str, base: Item, other: Item) -> Pair:
    return Pair("matched" if base.name == other.name else "renamed", base, other, rule)


def _other_shape(rule: str, base: Item, other: Item) -> Pair | None:
    if base.is_token_table and other.is_token_table and base.shape[1] == other.shape[1]:
        return Pair("resized", base, other, rule)
    # Those of the same shape have another partner.
    if base.numel == other.numel and base.shape != other.shape:
        return Pair("reshaped", base, other, rule)
    return None


def _untied(base: Manifest, other: Manifest, tables: list[Item], free: list[Item]) -> list[Pair]:
    """The output layer of the other side with the embedding that the base ties its own to."""
    found = _output_and_embedding(other, free, base, tables)
    return [Pair("untied", table, output, "role") for output, table in found]


def _tied(base: Manifest, other: Manifest, free: list[Item], tables: list[Item]) -> list[Pair]:
    """The output layer of the base with the embedding that the other side ties its own to."""
    found = _output_and_embedding(base, free, other, tables)
    return [Pair("tied", output, table, "role") for output, table in found]


def _output_and_embedding(
    untied: Manifest, free: list[Item], tied: Manifest, tables: list[Item]
) -> list[tuple[Item, Item]]:
    if not tied.tied or tied.embedding is None or untied.output is None:
        return []
    return [
        (output, table)
        for output in free
        for table in tables
        if output.tensor.name == untied.output and table.tensor.name == tied.embedding
        if output.shape[1] == table.shape[1]
    ]


def _moved(rest: _Rest, base: Mapping[str, str], other: Mapping[str, str]) -> list[Pair]:
    def key(content: Mapping[str, str]) -> Key:
        def of(item: Item) -> Hashable:
            return content.get(item.tensor.name) if item.is_whole else None

        return of

    return [
        Pair("moved", *pair, "content")
        for pair in rest.unique(key(base), key(other))
        if pair[0].shape == pair[1].shape
    ]


def _similar(rest: _Rest) -> list[Pair]:
    """Pairs of the same shape and kind whose names are each other's most similar ones."""

    def kind(item: Item) -> Hashable:
        return item.shape, item.has_spectrum, item.tensor.role.block_type

    base, other = _by_key(rest.base, kind), _by_key(rest.other, kind)
    found = []
    for group in base:
        mine, theirs = base[group], other.get(group, [])
        if not theirs or len(mine) * len(theirs) > MAX_SIMILAR**2:
            continue
        scores = [[_similarity(a, b) for b in theirs] for a in mine]
        for i, row in enumerate(scores):
            best = max(row)
            j = row.index(best)
            column = [line[j] for line in scores]
            is_best = row.count(best) == column.count(best) == 1 and best == max(column)
            if is_best and best >= LEAST_SIMILARITY:
                found.append(Pair("renamed", mine[i], theirs[j], "similarity", round(best, 3)))
    return found


def _similarity(a: Item, b: Item) -> float:
    first, second = (item.name.replace("_", ".").split(".") for item in (a, b))
    return SequenceMatcher(None, first, second, autojunk=False).ratio()


def _note(item: Item, namesakes: Mapping[Hashable, list[Item]]) -> str:
    for twin in namesakes[item.stem]:
        if twin is not item and twin.shape != item.shape:
            return f"the other side has the name with the shape {twin.shape[0]} x {twin.shape[1]}"
    return ""
