"""Compare two checkpoints: match their tensors, measure every matched pair, and make tables.

A comparison is made in one go (`compare_checkpoints`), or in parts that need only some shards at a
time: a survey of each shard, the pairs of some tensors of the base (`measured`), and what only all
pairs together show (`joined`). The tables are the same, because a pair is measured by itself.
"""

import filecmp
import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.checkpoint.manifest import Manifest
from blockresearch.compare import evidence
from blockresearch.compare.checkpoint import Checkpoint, Source
from blockresearch.compare.directions import share_left
from blockresearch.compare.embeddings import Agreement, agreement, have_other_widths
from blockresearch.compare.items import Item
from blockresearch.compare.matching import Pair, compared_shares, copies, match
from blockresearch.compare.pair import Numbers, Row, measure_pair
from blockresearch.compare.profiles import depth_profiles, profile
from blockresearch.compare.sides import Sides, sides_of
from blockresearch.compare.survey import Survey, survey
from blockresearch.compare.vocabulary import SharedRows, shared_rows, token_changes
from blockresearch.model_config import ModelConfig
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.tables.io import frame
from blockresearch.text import quoted
from blockresearch.tokens.tokenizer import Token
from blockresearch.weights.quantized.source import Contradiction

log = logging.getLogger(__name__)

# Tokens of the rows of both embeddings.
Tokens = tuple[Sequence[Token], Sequence[Token]]


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison, the share of each side's elements that was compared, and how
    alike embeddings of different widths are."""

    pairs: pd.DataFrame
    differences: pd.DataFrame
    subspaces: pd.DataFrame
    heads: pd.DataFrame
    lineage: pd.DataFrame
    profiles: pd.DataFrame
    vocabulary: pd.DataFrame
    base_share: float
    other_share: float
    embeddings: Agreement | None = None


@dataclass(frozen=True)
class Both:
    """Both sides of a comparison; their tokenizers are read once, when they are needed."""

    left: Source
    right: Source

    @cached_property
    def has_same_vocabulary(self) -> bool:
        """Whether both embeddings have as many rows, and equal files of the tokenizer."""
        with self.left.reading_tokens() as base, self.right.reading_tokens() as other:
            files = base.tokenizer, other.tokenizer
            if base.vocabulary_rows != other.vocabulary_rows or not all(files):
                return False
            first, second = map(str, files)
            return filecmp.cmp(first, second, shallow=False)

    @cached_property
    def tokens(self) -> Tokens:
        """The tokens of both embeddings."""
        with self.left.reading_tokens() as base, self.right.reading_tokens() as other:
            return base.tokens(), other.tokens()

    @cached_property
    def rows(self) -> SharedRows | None:
        """The rows of the same tokens; None if a side has no embedding."""
        return shared_rows(*self.tokens) if all(self.tokens) else None

    def rows_for(self, pairs: Iterable[Pair]) -> SharedRows | None:
        """The rows of the same tokens, if they are not all rows in order in each of some pairs.

        A parsed tokenizer takes as long as ten matrices.
        """
        for pair in pairs:
            tables = [item for item in (pair.base, pair.other) if item and item.is_token_table]
            if len(tables) == 2 and (
                tables[0].shape != tables[1].shape or not self.has_same_vocabulary
            ):
                return self.rows
        return None


@dataclass(frozen=True)
class Matched:
    """What is known of a comparison before a pair is measured.

    pairs    every tensor of both sides, in the order of the table pairs
    heads    query heads, key-value heads and rows of a head; None if the sides differ
    layers   places of the pairs whose rows are hidden units that are tested, by layer
    surveys  those of the base and of the other side
    """

    pairs: Sequence[Pair]
    heads: tuple[int, int, int] | None
    layers: Sequence[Sequence[int]]
    surveys: tuple[Survey, Survey]

    def compared(self, names: Container[str] | None = None) -> list[int]:
        """Places of the pairs that both sides have; those of tensors of the base of some `names`
        alone."""
        return [
            place
            for place, pair in enumerate(self.pairs)
            if pair.is_compared and (names is None or pair.either.tensor.name in names)
        ]


def compare_checkpoints(
    left: Source, right: Source, threads: int, device: str = "cpu"
) -> Comparison:
    """Compare a base (`left`) with another checkpoint on `threads` cores, a pair on each, and on a
    device that `resolve_device` returns."""
    log.info("hashing the tensors of both sides")
    surveys = [
        survey(side, [file.path for file in side.manifest.shards], threads)
        for side in (left, right)
    ]
    found = matched(left.manifest, right.manifest, surveys[0], surveys[1])
    both = Both(left, right)
    return joined(found, measured(found, found.compared(), both, threads, device), both)


def matched(base: Manifest, other: Manifest, mine: Survey, theirs: Survey) -> Matched:
    """Match the tensors of a base and another checkpoint, of which there are surveys."""
    pairs = match(base, other, mine.contents, theirs.contents)
    heads = ModelConfig(base.config).heads
    places = {id(pair): place for place, pair in enumerate(pairs)}
    units = evidence.hidden_units(pair for pair in pairs if pair.is_compared)
    return Matched(
        pairs,
        heads if heads == ModelConfig(other.config).heads else None,
        [[places[id(pair)] for pair in layer] for layer in units],
        (mine, theirs),
    )


def measured(
    found: Matched, places: Iterable[int], both: Both, threads: int, device: str = "cpu"
) -> dict[int, Numbers]:
    """The numbers of the pairs at some places, a pair on each of `threads` cores, whose matrices
    `device` multiplies.

    A pair that cannot be read has none.
    """
    pairs = {place: found.pairs[place] for place in places}
    rows = both.rows_for(pairs.values())
    units = {place for layer in found.layers for place in layer}
    numbers: dict[int, Numbers] = {}

    def measure(group: Mapping[int, Pair], base: Checkpoint, other: Checkpoint) -> None:
        order = sorted(group, key=lambda place: _seconds(group[place]), reverse=True)

        def of(place: int) -> Numbers | None:
            sides = _opened(base, other, rows, group[place], device)
            if sides is None:
                return None
            own = measure_pair(group[place], sides, found.heads)
            if place in units:
                own.units = evidence.order_of_units(sides)
            return own

        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            jobs = {pool.submit(of, place): place for place in order}
            try:
                for job in as_completed(jobs):
                    place = jobs[job]
                    if own := job.result():
                        numbers[place] = own
                    done[place] = None
                    name = quoted(pairs[place].either.name)
                    log.info("%d of %d pairs: %s", len(done), len(pairs), name)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    done: dict[int, None] = {}
    in_turn(pairs, both, measure)
    return numbers


def in_turn(
    pairs: Mapping[int, Pair],
    both: Both,
    work: Callable[[Mapping[int, Pair], Checkpoint, Checkpoint], None],
) -> None:
    """Call `work` with pairs and both sides, from which the pairs can be read: all at once if the
    shards are in place, else those of one shard of each side after the other."""
    left, right = both.left, both.right
    is_in_place = left.is_in_place and right.is_in_place
    for mine in _by_shard(pairs, is_in_place, lambda pair: pair.base):
        with left.reading(_names(pair.base for pair in mine.values())) as base:
            for group in _by_shard(mine, is_in_place, lambda pair: pair.other):
                with right.reading(_names(pair.other for pair in group.values())) as other:
                    work(group, base, other)


def joined(found: Matched, numbers: Mapping[int, Numbers], both: Both) -> Comparison:
    """The tables of a comparison, from the numbers of its pairs by their places.

    Pairs are read once more if many changes share a direction, and embeddings if their widths
    differ.
    """
    base_share, other_share = compared_shares(found.pairs)
    log.info(
        "%.4g %% of the parameters of the base and %.4g %% of the other side are compared",
        100 * base_share,
        100 * other_share,
    )
    known = [(found.pairs[place], numbers[place]) for place in sorted(numbers)]
    evidence.add_experts(known)
    evidence.add_direction(known, partial(_shares_left, both))
    layers = [
        [(found.pairs[place], numbers[place]) for place in layer if place in numbers]
        for layer in found.layers
    ]
    lineage = [evidence.lineage_of(layer) for layer in layers if layer]
    base, other = (own.contents for own in found.surveys)
    copied = copies(found.pairs, base, other)
    by_text = not both.has_same_vocabulary and both.rows is not None and both.rows.by_text
    changes = token_changes(*both.tokens) if by_text else []
    lines = [(pair, numbers.get(place)) for place, pair in enumerate(found.pairs)]
    embeddings = None
    if have_other_widths(both.left.manifest, both.right.manifest):
        with threadpool_limits(1):
            embeddings = agreement(both.left, both.right, both.rows)
    if embeddings is not None:
        lineage.append(embeddings.row)
    profiles = (
        profile(side.manifest, own.spreads)
        for side, own in zip((both.left, both.right), found.surveys, strict=True)
    )
    return Comparison(
        frame((_line(pair, copied, own) for pair, own in lines), "pairs"),
        frame((_keys(pair) | own.difference for pair, own in known), "differences"),
        frame((_keys(pair) | own.subspaces for pair, own in known if own.subspaces), "subspaces"),
        frame(evidence.heads_of(known, found.heads), "heads"),
        frame(lineage, "lineage"),
        frame(depth_profiles(*profiles), "profiles"),
        frame(map(asdict, changes), "vocabulary"),
        base_share,
        other_share,
        embeddings,
    )


def _shares_left(
    both: Both, pairs: Sequence[Pair], direction: np.ndarray
) -> dict[int, float | None]:
    """What is left along a direction of what each pair writes, by the ids of the pairs."""
    shares: dict[int, float | None] = {}

    def read(group: Mapping[int, Pair], base: Checkpoint, other: Checkpoint) -> None:
        for key, pair in group.items():
            if sides := _opened(base, other, rows, pair):
                shares[key] = share_left(sides, direction, pair.either.is_token_table)

    rows = both.rows_for(pairs)
    with threadpool_limits(1):
        in_turn({id(pair): pair for pair in pairs}, both, read)
    return shares


def _by_shard(
    pairs: Mapping[int, Pair], is_in_place: bool, side: Callable[[Pair], Item | None]
) -> list[dict[int, Pair]]:
    """Pairs by the shard of one side, in the order of the first pair of each; all together if the
    shards are in place."""
    groups: dict[str, dict[int, Pair]] = {}
    for place, pair in pairs.items():
        item = side(pair)
        shard = "" if item is None or is_in_place else item.tensor.shard
        groups.setdefault(shard, {})[place] = pair
    return list(groups.values())


def _names(items: Iterable[Item | None]) -> list[str]:
    return list(dict.fromkeys(item.tensor.name for item in items if item is not None))


def _seconds(pair: Pair) -> float:
    return predicted_seconds(*pair.either.shape) if pair.either.has_spectrum else 0.0


def _opened(
    base: Checkpoint, other: Checkpoint, rows: SharedRows | None, pair: Pair, device: str = "cpu"
) -> Sides | None:
    """The sides of a pair; None if one contradicts itself, or no row is the same on both."""
    assert pair.base is not None and pair.other is not None
    try:
        readers = base.open(pair.base.tensor.name), other.open(pair.other.tensor.name)
    except Contradiction as error:
        log.warning("%s", error)
        return None
    sides = sides_of(pair, *readers, rows, device)
    return sides if sides.rows else None


def _keys(pair: Pair) -> Row:
    base, other = pair.base, pair.other
    role = pair.either.tensor.role
    return {
        "param_name": base.tensor.name if base else None,
        "slice": base.matrix.slice if base else None,
        "other_name": other.tensor.name if other else None,
        "other_slice": other.matrix.slice if other else None,
        "component": role.component,
        "layer_index": role.layer_index,
        "block_type": role.block_type,
        "projection": pair.either.projection or None,
        "role": role.role,
        "expert_index": pair.either.expert,
        "rows": base.matrix.rows if base else None,
        "cols": base.matrix.cols if base else None,
        "other_layer_index": other.tensor.role.layer_index if other else None,
        "other_rows": other.matrix.rows if other else None,
        "other_cols": other.matrix.cols if other else None,
        "dtype": base.tensor.dtype if base else None,
        "other_dtype": other.tensor.dtype if other else None,
        "other_scheme": other.tensor.layout.scheme.method
        if other and other.tensor.layout.scheme
        else None,
    }


def _line(pair: Pair, copied: Mapping[str, str], found: Numbers | None) -> Row:
    is_copied = pair.other is not None and pair.other.is_whole
    return {
        "status": pair.status,
        "rule": pair.rule or None,
        "score": pair.score,
        **_keys(pair),
        "elements": found.difference.get("elements", 0) if found else 0,
        "copy_of": copied.get(pair.other.tensor.name) if pair.other and is_copied else None,
        "note": pair.note or None,
    }
