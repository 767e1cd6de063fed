"""Compare two checkpoints: match their tensors, then measure every matched pair."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import partial

import pandas as pd
from threadpoolctl import threadpool_limits

from blockresearch.compare import evidence
from blockresearch.compare.checkpoint import Checkpoint
from blockresearch.compare.evidence import Opener
from blockresearch.compare.matching import Pair, compared_shares, copies, match
from blockresearch.compare.pair import Numbers, Row, measure_pair
from blockresearch.compare.profiles import depth_profiles
from blockresearch.compare.sides import Sides, sides_of
from blockresearch.compare.vocabulary import SharedRows, shared_rows, token_changes
from blockresearch.spectra.cost import predicted_seconds
from blockresearch.tables.io import frame
from blockresearch.text import quoted
from blockresearch.weights.quantized.source import Contradiction

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Comparison:
    """The tables of a comparison, and the share of each side's elements that was compared."""

    pairs: pd.DataFrame
    differences: pd.DataFrame
    subspaces: pd.DataFrame
    heads: pd.DataFrame
    lineage: pd.DataFrame
    profiles: pd.DataFrame
    vocabulary: pd.DataFrame
    base_share: float
    other_share: float


def compare_checkpoints(left: Checkpoint, right: Checkpoint, threads: int) -> Comparison:
    """Compare a base (`left`) with another checkpoint on `threads` cores, a pair on each."""
    log.info("hashing the tensors of both sides")
    with ThreadPoolExecutor(threads) as pool:
        contents = list(pool.map(Checkpoint.contents, (left, right)))
    pairs = match(left.manifest, right.manifest, *contents)
    base_share, other_share = compared_shares(pairs)
    log.info(
        "%.4g %% of the parameters of the base and %.4g %% of the other side are compared",
        100 * base_share,
        100 * other_share,
    )
    tokens = left.tokens(), right.tokens()
    rows = shared_rows(*tokens) if all(tokens) else None
    wanted = [pair for pair in pairs if pair.is_compared]
    wanted.sort(key=_seconds, reverse=True)
    opened = partial(_opened, left, right, rows)
    heads = left.heads() if left.heads() == right.heads() else None
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        measured = _measured(pool, wanted, opened, heads)
        evidence.add_experts(measured, opened)
        evidence.add_direction(measured, opened)
        layers = evidence.hidden_units(pair for pair, _ in measured)
        lineage = list(pool.map(partial(evidence.lineage_of, opened=opened), layers))
    by_pair = {id(pair): own for pair, own in measured}
    copied = copies(pairs, *contents)
    changes = token_changes(*tokens) if rows is not None and rows.by_text else []
    found: list[tuple[Pair, Numbers | None]] = [(pair, by_pair.get(id(pair))) for pair in pairs]
    differences = [_keys(pair) | own.difference for pair, own in found if own]
    subspaces = [_keys(pair) | own.subspaces for pair, own in found if own and own.subspaces]
    return Comparison(
        frame((_line(pair, copied, own) for pair, own in found), "pairs"),
        frame(differences, "differences"),
        frame(subspaces, "subspaces"),
        frame(evidence.heads_of(measured, heads), "heads"),
        frame(lineage, "lineage"),
        frame(depth_profiles(left, right), "profiles"),
        frame(map(asdict, changes), "vocabulary"),
        base_share,
        other_share,
    )


def _measured(
    pool: ThreadPoolExecutor,
    wanted: Sequence[Pair],
    opened: Opener,
    heads: tuple[int, int, int] | None,
) -> list[tuple[Pair, Numbers]]:
    """The pairs that can be read, in their order, and their numbers; a line of the log for each."""
    jobs = {pool.submit(_numbers, pair, opened, heads): pair for pair in wanted}
    try:
        for done, job in enumerate(as_completed(jobs), 1):
            job.result()
            log.info("%d of %d pairs: %s", done, len(jobs), quoted(jobs[job].either.name))
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [(pair, own) for job, pair in jobs.items() if (own := job.result())]


def _numbers(pair: Pair, opened: Opener, heads: tuple[int, int, int] | None) -> Numbers | None:
    """The numbers of a pair, whose tensors are in memory no longer than that."""
    sides = opened(pair)
    return measure_pair(pair, sides, heads) if sides else None


def _seconds(pair: Pair) -> float:
    return predicted_seconds(*pair.either.shape) if pair.either.has_spectrum else 0.0


def _opened(
    base: Checkpoint, other: Checkpoint, rows: SharedRows | None, pair: Pair
) -> Sides | None:
    """The sides of a pair; None if one contradicts itself, or no row is the same on both."""
    assert pair.base is not None and pair.other is not None
    try:
        readers = base.open(pair.base.tensor.name), other.open(pair.other.tensor.name)
    except Contradiction as error:
        log.warning("%s", error)
        return None
    sides = sides_of(pair, *readers, rows)
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
