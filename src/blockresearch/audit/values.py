"""The audit's checks of values: not finite, dead, copied, out of scale or collapsed.

Tensors are compared with their siblings, whose names differ only in numbers (layers, experts),
because normal values differ by orders of magnitude between kinds of tensors.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from blockresearch.audit.finding import FEWEST_SIBLINGS, AuditFinding, family
from blockresearch.checkpoint.manifest import Manifest
from blockresearch.language.sentence import say
from blockresearch.model_config import ModelConfig
from blockresearch.naming.roles import states_tied
from blockresearch.safetensors.dtypes import DTYPES

# Least ratio of a weight's root mean square to its siblings' median; norms vary more.
SCALE_FACTOR = 10.0

NORM_SCALE_FACTOR = 30.0

# Least distance from that median, in robust standard deviations on a log scale.
SCALE_SPREADS = 6.0

# No training makes weights of one kind differ that much.
BROKEN_FACTOR = 1000.0

# End of the names of state spaces' decays, which start as log(1 … n) in every row and layer.
DECAYS = "A_log"

PLAUSIBLE_RMS = (1e-7, 1e3)

# Least ratio of the largest to the second largest |w|: a flipped exponent bit makes 2 to 2^128.
ISOLATED_FACTOR = 1000.0

HUGE = 1e9

# Elements below which equal bytes may be chance.
LEAST_COPIED = 16

COLLAPSED_RANK = 0.5

# Types whose rounding leaves the rank of a sound matrix visible; coarser ones may bury it.
FINE = ("F64", "F32", "F16", "BF16")

# exp of the entropy of σ² below which one direction holds nearly everything.
COLLAPSED_ENERGY = 1.5

ENERGY_FACTOR = 4.0

EXPONENT_BITS = {"F64": 11, "F32": 8, "BF16": 8, "F16": 5, "F8_E5M2": 5, "F8_E4M3": 4}

# Elements from which a tensor shows whether it is made of codes.
CODED = 256

# Share of the bits of an exponent, or of a byte, that weights never fill: theirs are alike.
UNIFORM = 0.85

# Root mean square of 8-bit floats: codes scaled to fill the type have about 100, weights below 1.
UNSCALED_RMS = 16.0

# What is read of the table params: rows of all its columns would take three times as long.
COLUMNS = [
    "quantisation",
    *"""
    param_name block_type shape rows cols dtype nbytes content is_bias numel finite_count
    nan_count posinf_count neginf_count mean std min max rms absmax top_values top_rows top_cols
    distinct_values fp16_exact_fraction entropy_exponent_bits zero_rows zero_cols spectral_norm
    resolved_rank storage_rank effective_rank_energy coded_bits coded_group coded_format
    """.split(),
]


def findings(manifest: Manifest, params: pd.DataFrame) -> Iterator[AuditFinding]:
    """All findings about values of the table params."""
    rows = params[COLUMNS].assign(family=params["param_name"].map(family))
    records = list(rows.itertuples())
    alone = [
        finding
        for row in records
        for finding in (*_empty(row), *_not_finite(row), *_dead(row), *_isolated(row))
    ]
    alone += _single_valued(rows, ModelConfig(manifest.config).adds_one_to_norms)
    yield from alone
    # The scale or rank of a broken tensor means nothing.
    broken = {finding.where for finding in alone if not finding.check.startswith("dead_")}
    yield from (finding for row in records for finding in _coded(row))
    yield from _dequantized(rows)
    yield from (f for f in (*_scale(rows), *_rank(rows, records)) if f.where not in broken)
    yield from _copies(rows, manifest)


def _empty(row: Any) -> Iterator[AuditFinding]:
    if row.numel == 0:
        yield AuditFinding(
            "warning",
            "empty",
            row.param_name,
            say("shape {shape}: it has no elements", shape=row.shape),
            "a placeholder, or saved while a trainer had the weights distributed over its workers",
        )


def _not_finite(row: Any) -> Iterator[AuditFinding]:
    if row.nan_count > 0:
        yield AuditFinding(
            "error",
            "nan",
            row.param_name,
            say(
                "{count} of {total} elements are NaN",
                count=f"{row.nan_count:,}",
                total=f"{row.numel:,}",
            ),
            "training diverged or a conversion failed; outputs will be NaN",
        )
    infinite = row.posinf_count + row.neginf_count
    if infinite > 0:
        yield AuditFinding(
            "error",
            "infinite",
            row.param_name,
            say(
                "{count} of {total} elements are infinite",
                count=f"{infinite:,}",
                total=f"{row.numel:,}",
            ),
            "a value overflowed its type in a conversion",
        )


def _dead(row: Any) -> Iterator[AuditFinding]:
    by_design = row.is_bias or row.block_type == "norm" or row.param_name.endswith(DECAYS)
    if by_design or row.numel == 0 or row.finite_count != row.numel or row.absmax == 0:
        return
    is_table = row.block_type in ("embedding", "output", "position_embedding")
    sides = (("rows", row.zero_rows, row.rows), ("columns", row.zero_cols, row.cols))
    for axis, count, of in sides:
        if pd.isna(count) or count == 0:
            continue
        padding = is_table and axis == "rows"
        yield AuditFinding(
            "note" if padding or row.block_type == "conv" else "warning",
            f"dead_{axis}",
            row.param_name,
            say(
                "{count} of {total} {axis} are all zero",
                count=f"{count:,}",
                total=f"{of:,}",
                axis=say("rows") if axis == "rows" else say("columns"),
            ),
            "padding for tokens that do not exist, or tokens whose rows were lost"
            if padding
            else "unused units: pruned, never trained, or lost in a conversion",
        )


def _isolated(row: Any) -> Iterator[AuditFinding]:
    largest = row.top_values
    # Codes, ids and masks may have any magnitude.
    is_code = DTYPES[row.dtype].kind in ("int", "bool") and pd.isna(row.quantisation)
    if is_code or not isinstance(largest, list) or len(largest) < 2 or row.numel < 256:
        return
    first, second, last = (abs(largest[place]) for place in (0, 1, -1))
    if first > ISOLATED_FACTOR * second or (first >= HUGE and last < HUGE):
        place = f"[{row.top_rows[0]}, {row.top_cols[0]}]"
        yield AuditFinding(
            "error" if first >= HUGE else "warning",
            "isolated_value",
            row.param_name,
            say(
                "the element at {place} is {first}, the next largest is {second}",
                place=place,
                first=f"{largest[0]:.6g}",
                second=f"{largest[1]:.6g}",
            ),
            "a flipped bit in memory, on disk or in transfer; compare with another copy",
        )


def _dequantized(rows: pd.DataFrame) -> Iterator[AuditFinding]:
    """Matrices that look like dequantized codes, one finding for each format."""
    known = rows[
        rows["coded_bits"].notna() & (rows["block_type"] != "position_embedding").fillna(True)
    ]
    keys = ["coded_bits", "coded_group", "coded_format"]
    for (bits, group, formats), own in known.groupby(keys, dropna=False, sort=True):
        length = say("rows")
        if pd.notna(group):
            length = say("aligned groups of {group} weights", group=f"{group:,}")
        yield AuditFinding(
            "note",
            "dequantized",
            str(own["param_name"].iloc[0]),
            say(
                "{count} of {total} tensors, this one first, look like {bits}-bit codes with a "
                "scale for {length}: {formats}",
                count=f"{len(own):,}",
                total=f"{len(rows):,}",
                bits=bits,
                length=length,
                formats=formats,
            ),
            "the weights were quantized and stored dequantized; their rounding errors describe a "
            "second rounding",
        )


def _coded(row: Any) -> Iterator[AuditFinding]:
    """A matrix measured as weights whose values look like codes, bit fields or scales."""
    is_matrix = pd.notna(row.cols) and min(row.rows, row.cols) > 1 and row.numel >= CODED
    if not is_matrix or pd.notna(row.quantisation) or row.is_bias:
        return
    evidence = _sign_of_codes(row)
    if evidence:
        yield AuditFinding(
            "note",
            "looks_coded",
            row.param_name,
            evidence,
            "codes, packed bits or scales of an unknown storage: its statistics are not of weights",
        )


def _sign_of_codes(row: Any) -> str:
    """What speaks against a matrix of weights; "" if nothing does."""
    dtype = DTYPES[row.dtype]
    lowest, highest = row.min, row.max
    # Missing if values of a wide type are not finite.
    exponent_bits = pd.notna(row.entropy_exponent_bits) and EXPONENT_BITS.get(row.dtype)
    if dtype.kind == "int":
        return say(
            "its {count} distinct values are integers ({type})",
            count=f"{row.distinct_values:,}",
            type=row.dtype,
        )
    if exponent_bits and row.entropy_exponent_bits > UNIFORM * exponent_bits:
        return say(
            "its exponents carry {entropy} of {bits} bits: they are spread evenly",
            entropy=f"{row.entropy_exponent_bits:.2f}",
            bits=exponent_bits,
        )
    if dtype.bits == 8 and pd.notna(row.rms) and row.rms > UNSCALED_RMS:
        return say("8-bit floats without a scale, root mean square {rms}", rms=f"{row.rms:.3g}")
    if pd.isna(lowest) or pd.isna(highest) or row.finite_count != row.numel:
        return ""
    if _is_counted(row):
        return say(
            "its values are the integers {lowest} to {highest}",
            lowest=f"{lowest:g}",
            highest=f"{highest:g}",
        )
    is_shifted = (lowest >= 0 or highest <= 0) and abs(row.mean) > row.std > 0
    by_design = row.block_type in ("norm", "position_embedding", "conv")
    by_design = by_design or row.param_name.endswith(DECAYS)
    if is_shifted and not by_design and pd.notna(row.spectral_norm):
        share = abs(row.mean) * row.numel**0.5 / row.spectral_norm
        return say(
            "all values have one sign, and their mean {mean} gives {share} of the largest "
            "singular value",
            mean=f"{row.mean:.3g}",
            share=f"{share:.0%}",
        )
    return ""


def _is_counted(row: Any) -> bool:
    """Whether the values are integers without a gap, or, of a wide type, small ones at the ends."""
    if not (float(row.min).is_integer() and float(row.max).is_integer() and row.max - row.min >= 3):
        return False
    if pd.notna(row.distinct_values):
        return bool(row.distinct_values == row.max - row.min + 1)
    largest = row.top_values if isinstance(row.top_values, list) else []
    all_whole = bool(largest) and all(float(value).is_integer() for value in largest)
    return all_whole and pd.notna(row.fp16_exact_fraction) and row.fp16_exact_fraction == 1


def _single_valued(rows: pd.DataFrame, zero_centered: bool) -> Iterator[AuditFinding]:
    """Constant tensors; a whole family of norms may have the value that changes nothing."""
    single = (rows["numel"] > 1) & (rows["min"] == rows["max"])
    single = (single & (rows["finite_count"] == rows["numel"])).fillna(False)
    usual = single.groupby([rows["family"], rows["block_type"]]).transform("all")
    for row, all_are in zip(rows[single].itertuples(), usual[single], strict=True):
        is_norm = row.block_type == "norm"
        if is_norm and all_are and (row.absmax > 0 or zero_centered):
            continue
        if row.absmax == 0:
            yield AuditFinding(
                "note" if row.is_bias else "warning",
                "all_zero",
                row.param_name,
                say("all {count} elements are zero", count=f"{row.numel:,}"),
                "usual for an unused bias; for a weight: never trained, pruned or not saved",
            )
        else:
            # Gains and skips with one value per channel start at 1 and may stay there.
            initial = all_are and (pd.isna(row.cols) or min(row.rows, row.cols) == 1)
            yield AuditFinding(
                "note" if row.is_bias or is_norm or initial else "warning",
                "constant",
                row.param_name,
                say(
                    "all {count} elements are {value}",
                    count=f"{row.numel:,}",
                    value=f"{row.min:.6g}",
                ),
                "the tensor still has its initial value, or was overwritten",
            )


# A row of all columns for each family would take most of the audit's time.
SCALE_COLUMNS = ["param_name", "family", "block_type", "cols", "rms"]


def _scale(rows: pd.DataFrame) -> Iterator[AuditFinding]:
    plain = rows[(rows["numel"] > 1) & ~rows["is_bias"].fillna(False) & (rows["rms"] > 0)]
    plain = plain[plain["dtype"].str.startswith(("F", "BF")) | plain["quantisation"].notna()]
    for _, siblings in plain[SCALE_COLUMNS].groupby("family", sort=True):
        log_rms = np.log2(siblings["rms"].to_numpy(float))
        median = float(np.median(log_rms))
        spread = 1.4826 * float(np.median(np.abs(log_rms - median)))
        # In a stack of convolutions weights are smaller if more inputs are summed: a weight that is
        # out of scale must also be so at equal fan-in.
        fan_in = np.log2(np.maximum(siblings["cols"].astype(float).fillna(1).to_numpy(), 1)) / 2
        at_equal_fan_in = np.abs(log_rms + fan_in - np.median(log_rms + fan_in))
        is_norm = siblings["block_type"].iloc[0] == "norm"
        least = np.log2(NORM_SCALE_FACTOR if is_norm else SCALE_FACTOR)
        limit = max(least, SCALE_SPREADS * spread)
        off = np.minimum(np.abs(log_rms - median), at_equal_fan_in)
        for row, distance in zip(siblings.itertuples(), off, strict=True):
            factor = 2.0**distance
            if len(siblings) >= FEWEST_SIBLINGS and distance > limit:
                yield AuditFinding(
                    "error" if factor >= BROKEN_FACTOR else "warning",
                    "scale",
                    row.param_name,
                    say(
                        "root mean square {rms}, the median of its {count} siblings is {median}: "
                        "a factor of {factor}",
                        rms=f"{row.rms:.3g}",
                        count=len(siblings),
                        median=f"{2.0**median:.3g}",
                        factor=f"{factor:,.0f}",
                    ),
                    "a scale applied twice or not at all, or a layer of another checkpoint",
                )
            elif row.cols > 1 and not PLAUSIBLE_RMS[0] < row.rms < PLAUSIBLE_RMS[1]:
                yield AuditFinding(
                    "error" if row.rms >= HUGE else "warning",
                    "scale",
                    row.param_name,
                    say("root mean square {rms}", rms=f"{row.rms:.3g}"),
                    "a scale applied twice or not at all",
                )


def _rank(rows: pd.DataFrame, records: Iterable[Any]) -> Iterator[AuditFinding]:
    """Of the table `rows`; `records` are its rows as tuples."""
    energy = rows["effective_rank_energy"]
    usual = energy.groupby(rows["family"]).transform("median")
    count = energy.groupby(rows["family"]).transform("count")
    for row, typical, siblings in zip(records, usual, count, strict=True):
        smaller = min(row.rows, row.cols)
        # Sinusoids are few-dimensional by design, decays of state spaces start as equal rows.
        if row.block_type == "position_embedding" or row.param_name.endswith(DECAYS):
            continue
        rank, is_rounded = row.resolved_rank, False
        if row.dtype in FINE and pd.isna(row.quantisation) and pd.notna(row.storage_rank):
            rank = row.storage_rank
            is_rounded = rank < row.resolved_rank
        if pd.notna(rank) and 0 < rank < COLLAPSED_RANK * smaller:
            yield AuditFinding(
                "warning",
                "rank_collapse",
                row.param_name,
                say(
                    "rank {rank} of {smaller}, apart from what rounding to {type} adds",
                    rank=f"{rank:,}",
                    smaller=f"{smaller:,}",
                    type=row.dtype,
                )
                if is_rounded
                else say("rank {rank} of {smaller}", rank=f"{rank:,}", smaller=f"{smaller:,}"),
                "most directions are empty: low-rank factors merged back, or collapse",
            )
        elif (
            siblings >= FEWEST_SIBLINGS
            and pd.notna(row.effective_rank_energy)
            and smaller >= 8
            and row.effective_rank_energy < COLLAPSED_ENERGY
            and typical > ENERGY_FACTOR * row.effective_rank_energy
        ):
            yield AuditFinding(
                "warning",
                "rank_collapse",
                row.param_name,
                say(
                    "effective rank {rank} of {smaller}, the median of its {count} siblings "
                    "is {median}",
                    rank=f"{row.effective_rank_energy:.2f}",
                    smaller=f"{smaller:,}",
                    count=siblings,
                    median=f"{typical:.1f}",
                ),
                "one direction has nearly all energy: collapse, or an overwritten layer",
            )


def _copies(rows: pd.DataFrame, manifest: Manifest) -> Iterator[AuditFinding]:
    """Tensors with the same bytes; a token table under two names is only a note."""
    varied = rows[(rows["numel"] >= LEAST_COPIED) & (rows["min"] != rows["max"]).fillna(True)]
    varied = varied[~varied["param_name"].str.endswith(DECAYS)]
    output = manifest.output
    varied = varied.assign(shape=varied["shape"].map(tuple))
    for _, same in varied.groupby(["content", "shape", "dtype"], sort=True):
        names = sorted(same["param_name"])
        if len(names) < 2:
            continue
        is_table = same["block_type"].isin(["embedding", "output"]).all()
        others = ", ".join(names[1:4])
        if len(names) > 4:
            others = say("{names} and {count} more", names=others, count=len(names) - 4)
        yield AuditFinding(
            "note" if is_table else "warning",
            "stored_twice" if is_table else "copy",
            names[0],
            say(
                "the same {count} bytes as {others}",
                count=f"{same['nbytes'].iloc[0]:,}",
                others=others,
            ),
            "tied weights saved under each of their names"
            if is_table
            else "layers repeated to make a deeper model, or one tensor saved in place of another",
        )
    tables = rows[rows["param_name"].isin([manifest.embedding, output])]
    if len(tables) == 2 and states_tied(manifest.config) and tables["content"].nunique() == 2:
        yield AuditFinding(
            "warning",
            "untied",
            str(output),
            say("config.json ties it to {name}, but their bytes differ", name=manifest.embedding),
            "loaders use the embedding for both and ignore the stored output layer",
        )
