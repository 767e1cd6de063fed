"""The audit's checks of values: what is not finite, dead, copied, out of scale or collapsed.

Tensors are compared with their siblings: those of the same name but for the numbers in it (layers,
experts), because what is normal differs from one kind of tensor to the next by orders of magnitude.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
FEWEST_SIBLINGS = 3
SCALE_FACTOR = 10.0
"""Between a weight's root mean square and its siblings' median, at least; norms vary more."""
NORM_SCALE_FACTOR = 100.0
SCALE_SPREADS = 6.0
"""And this many robust standard deviations of the siblings, in log scale."""
BROKEN_FACTOR = 1000.0
"""No training makes weights of one kind differ that much."""
PLAUSIBLE_RMS = (1e-7, 1e3)
ISOLATED_FACTOR = 1000.0
"""Largest over second largest |w|: a flipped exponent bit changes a value by 2 to 2^128."""
HUGE = 1e9
LEAST_COPIED = 16
"""Elements below which equal bytes may be chance."""
COLLAPSED_RANK = 0.5
COLLAPSED_ENERGY = 1.5
"""exp of the entropy of σ²: one direction holds nearly everything."""
ENERGY_FACTOR = 4.0


@dataclass(frozen=True)
class Finding:
    """One finding of the audit."""

    severity: str
    check: str
    where: str
    evidence: str
    meaning: str


def as_record(finding: Finding) -> dict[str, str]:
    """A finding as audit.json holds it."""
    return asdict(finding)


def family(name: str) -> str:
    """The name of a tensor without its numbers: the same for all its siblings."""
    return NUMBER.sub("#", name)


def findings(manifest: Mapping[str, Any], params: pd.DataFrame) -> Iterator[Finding]:
    """All findings about values of the table params."""
    rows = params.assign(family=params["param_name"].map(family))
    alone = [
        finding
        for row in rows.itertuples()
        for finding in (*_not_finite(row), *_dead(row), *_isolated(row))
    ]
    alone += _constant(rows)
    yield from alone
    # What is broken by itself has no scale or rank to speak of.
    broken = {finding.where for finding in alone if not finding.check.startswith("dead_")}
    yield from (f for f in (*_scale(rows), *_rank(rows)) if f.where not in broken)
    yield from _copies(rows, manifest)


def _not_finite(row: Any) -> Iterator[Finding]:
    if row.nan_count > 0:
        yield Finding(
            "error",
            "nan",
            row.param_name,
            f"{row.nan_count:,} of {row.numel:,} elements are NaN",
            "training diverged or a conversion failed; outputs will be NaN",
        )
    infinite = row.posinf_count + row.neginf_count
    if infinite > 0:
        yield Finding(
            "error",
            "infinite",
            row.param_name,
            f"{infinite:,} of {row.numel:,} elements are infinite",
            "a value overflowed its type in a conversion",
        )


def _dead(row: Any) -> Iterator[Finding]:
    if row.numel > 1 and row.finite_count == row.numel and row.absmax == 0:
        yield Finding(
            "note" if row.is_bias else "warning",
            "all_zero",
            row.param_name,
            f"all {row.numel:,} elements are zero",
            "usual for an unused bias; for a weight: never trained, pruned or not saved",
        )
        return
    if row.finite_count != row.numel or row.is_bias or row.block_type == "norm":
        return
    is_table = row.block_type in ("embedding", "output", "position_embedding")
    sides = (("rows", row.zero_rows, row.rows), ("columns", row.zero_cols, row.cols))
    for axis, count, of in sides:
        if pd.isna(count) or count == 0:
            continue
        padding = is_table and axis == "rows"
        yield Finding(
            "note" if padding or row.block_type == "conv" else "warning",
            f"dead_{axis}",
            row.param_name,
            f"{count:,} of {of:,} {axis} are zero throughout",
            "tokens that do not exist, added as padding"
            if padding
            else "units that do nothing: pruned, never trained, or lost in a conversion",
        )


def _isolated(row: Any) -> Iterator[Finding]:
    largest = row.top_values
    if not isinstance(largest, list) or len(largest) < 2 or row.numel < 256:
        return
    first, second = abs(largest[0]), abs(largest[1])
    if first > ISOLATED_FACTOR * second or first >= HUGE:
        place = f"[{row.top_rows[0]}, {row.top_cols[0]}]"
        yield Finding(
            "error" if first >= HUGE else "warning",
            "isolated_value",
            row.param_name,
            f"the element at {place} is {largest[0]:.6g}, the next largest is {largest[1]:.6g}",
            "a flipped bit in memory, on disk or in transfer; compare with another copy",
        )


def _constant(rows: pd.DataFrame) -> Iterator[Finding]:
    """Tensors of a single value; norms only where not all their siblings are such."""
    constant = (rows["numel"] > 1) & (rows["min"] == rows["max"]) & (rows["absmax"] > 0)
    constant &= rows["finite_count"] == rows["numel"]
    constant = constant.fillna(False)
    usual = constant.groupby([rows["family"], rows["block_type"]]).transform("all")
    is_norm = (rows["block_type"] == "norm").fillna(False)
    for row in rows[constant & ~(usual & is_norm)].itertuples():
        yield Finding(
            "note" if row.is_bias or row.block_type == "norm" else "warning",
            "constant",
            row.param_name,
            f"all {row.numel:,} elements are {row.min:.6g}",
            "the tensor still has its initial value, or was overwritten",
        )


def _scale(rows: pd.DataFrame) -> Iterator[Finding]:
    plain = rows[(rows["numel"] > 1) & ~rows["is_bias"].fillna(False) & (rows["rms"] > 0)]
    plain = plain[plain["dtype"].str.startswith(("F", "BF")) | plain["quantisation"].notna()]
    for _, siblings in plain.groupby("family", sort=True):
        log_rms = np.log2(siblings["rms"].to_numpy(float))
        median = float(np.median(log_rms))
        spread = 1.4826 * float(np.median(np.abs(log_rms - median)))
        is_norm = siblings["block_type"].iloc[0] == "norm"
        least = np.log2(NORM_SCALE_FACTOR if is_norm else SCALE_FACTOR)
        limit = max(least, SCALE_SPREADS * spread)
        for row, value in zip(siblings.itertuples(), log_rms, strict=True):
            factor = 2.0 ** abs(value - median)
            if len(siblings) >= FEWEST_SIBLINGS and abs(value - median) > limit:
                yield Finding(
                    "error" if factor >= BROKEN_FACTOR else "warning",
                    "scale",
                    row.param_name,
                    f"root mean square {row.rms:.3g}, the median of its {len(siblings)} siblings "
                    f"is {2.0**median:.3g}: a factor of {factor:,.0f}",
                    "a scale applied twice or not at all, or a layer of another checkpoint",
                )
            elif row.cols > 1 and not PLAUSIBLE_RMS[0] < row.rms < PLAUSIBLE_RMS[1]:
                yield Finding(
                    "warning",
                    "scale",
                    row.param_name,
                    f"root mean square {row.rms:.3g}",
                    "a scale applied twice or not at all",
                )


def _rank(rows: pd.DataFrame) -> Iterator[Finding]:
    energy = rows["effective_rank_energy"]
    usual = energy.groupby(rows["family"]).transform("median")
    count = energy.groupby(rows["family"]).transform("count")
    for row, typical, siblings in zip(rows.itertuples(), usual, count, strict=True):
        smaller = min(row.rows, row.cols)
        # Sinusoids are few-dimensional by design.
        if row.block_type == "position_embedding":
            continue
        if pd.notna(row.rank) and 0 < row.rank < COLLAPSED_RANK * smaller:
            yield Finding(
                "warning",
                "rank_collapse",
                row.param_name,
                f"rank {row.rank:,} of {smaller:,}",
                "most directions carry nothing: low-rank factors merged back, or collapse",
            )
        elif (
            siblings >= FEWEST_SIBLINGS
            and pd.notna(row.effective_rank_energy)
            and smaller >= 8
            and row.effective_rank_energy < COLLAPSED_ENERGY
            and typical > ENERGY_FACTOR * row.effective_rank_energy
        ):
            yield Finding(
                "warning",
                "rank_collapse",
                row.param_name,
                f"effective rank {row.effective_rank_energy:.2f} of {smaller:,}, the median of its "
                f"{siblings} siblings is {typical:.1f}",
                "one direction holds nearly everything: collapse, or an overwritten layer",
            )


def _copies(rows: pd.DataFrame, manifest: Mapping[str, Any]) -> Iterator[Finding]:
    """Tensors with the same bytes; a token table stored under two names is no flaw."""
    varied = rows[(rows["numel"] >= LEAST_COPIED) & (rows["min"] != rows["max"]).fillna(True)]
    output = manifest["output"]
    for _, same in varied.groupby(["content", "shape", "dtype"], sort=True):
        names = sorted(same["param_name"])
        if len(names) < 2:
            continue
        is_table = same["block_type"].isin(["embedding", "output"]).all()
        others = ", ".join(names[1:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        yield Finding(
            "note" if is_table else "warning",
            "stored_twice" if is_table else "copy",
            names[0],
            f"the same {same['nbytes'].iloc[0]:,} bytes as {others}",
            "tied weights saved under each of their names"
            if is_table
            else "layers repeated to make a deeper model, or one tensor saved in place of another",
        )
    tables = rows[rows["param_name"].isin([manifest["embedding"], output])]
    if len(tables) == 2 and _ties(manifest["config"]) and tables["content"].nunique() == 2:
        yield Finding(
            "warning",
            "untied",
            str(output),
            f"config.json ties it to {manifest['embedding']}, but their bytes differ",
            "loaders take the embedding for both: the stored output layer is ignored",
        )


def _ties(config: Mapping[str, Any]) -> bool:
    parts = (config, config.get("text_config"))
    return any(isinstance(p, Mapping) and p.get("tie_word_embeddings") is True for p in parts)
