"""The tables of weights: params, matrices, spectra, histograms, coverage and layers."""

from dataclasses import (
    replace,
)

from blockresearch.tables.column import (
    ELEMENTS,
    NONE,
    SHARE,
    WEIGHT,
    Column,
    Schema,
)
from blockresearch.tables.rounding_columns import (
    CODED,
    ROUNDING,
)
from blockresearch.tables.sources import (
    MATRIX_RANK,
    WEYL,
)
from blockresearch.tables.spectral_columns import (
    RANK,
    RANKS,
    SPECTRAL,
)
from blockresearch.tables.tensor_columns import (
    ATTENTION_OR_EXPERT,
    BLOCK_TYPE,
    COLS,
    COMPONENT,
    DTYPE,
    LAYER_INDEX,
    MODEL,
    NBYTES,
    NUMEL,
    PARAM_NAME,
    ROLE,
    ROWS,
    SHAPE,
    SHARD,
    SLICE,
    STORAGE,
)
from blockresearch.tables.value_columns import (
    MOMENTS,
    TOP,
    VALUES,
)

PARAMS = Schema(
    "params.csv, params.json, params.parquet",
    "one stored tensor",
    (
        Column("model_path", "string", "the local folder, or the hub id, that was analyzed"),
        Column("model_id", "string", "hub id (empty for a local folder)"),
        Column("revision", "string", "commit of the hub (empty for a local folder)"),
        PARAM_NAME,
        LAYER_INDEX,
        BLOCK_TYPE,
        SHAPE,
        replace(ROWS, meaning="rows of the 2-D view, unpacked; outputs if it is one matrix"),
        replace(COLS, meaning="columns of the 2-D view"),
        replace(RANK, meaning=f"{RANK.meaning}; missing if the tensor is not one matrix"),
        *MOMENTS,
        DTYPE,
        Column("created_at", "string", "when the checkpoint was resolved", "UTC, ISO 8601"),
        MODEL,
        *ROLE,
        SHARD,
        NBYTES,
        Column("content", "string", "first 16 digits of the sha256 of the stored bytes"),
        *STORAGE,
        *VALUES,
        *TOP,
        *RANKS,
        *SPECTRAL,
        *ROUNDING,
        *CODED,
    ),
)

MATRICES = Schema(
    "matrices.parquet",
    "one matrix as the model multiplies with it (a tensor, one expert of a stack, a slice)",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        LAYER_INDEX,
        BLOCK_TYPE,
        *ROLE,
        ROWS,
        COLS,
        DTYPE,
        *STORAGE,
        RANK,
        Column(
            "rank_ratio",
            "number",
            "rank by NumPy's rule as a share of the smaller side",
            SHARE,
            "rank / min(rows, cols)",
            MATRIX_RANK,
            "rank ratio (NumPy)",
        ),
        Column(
            "resolved_rank_ratio",
            "number",
            "resolved rank as a share of the smaller side",
            SHARE,
            "resolved_rank / min(rows, cols)",
            WEYL,
            "resolved rank ratio",
        ),
        *MOMENTS,
        *VALUES,
        *TOP,
        *RANKS,
        *SPECTRAL,
        *ROUNDING,
        *CODED,
        Column(
            "piece",
            "string",
            "part of a fused projection, e.g. q_proj, or delta; empty for a whole matrix",
        ),
    ),
)

SPECTRA = Schema(
    "spectra.parquet",
    "the singular values of one matrix",
    (
        MODEL,
        PARAM_NAME,
        SLICE,
        ROWS,
        COLS,
        Column(
            "method",
            "string",
            "how the values were computed: direct, gram, gram+projection, gram+deflation, "
            "factored; sketch: an estimate of the largest values only; none: and why there are "
            "no values",
        ),
        Column("precision", "string", "type of number in which they were computed"),
        Column(
            "singular_values", "numbers", "all singular values, largest first", WEIGHT, "σ₁ … σ_q"
        ),
        ATTENTION_OR_EXPERT,
    ),
)

HISTOGRAMS = Schema(
    "histograms.parquet",
    "the exact distribution of one tensor of a type of 16 bits or fewer",
    (
        MODEL,
        PARAM_NAME,
        DTYPE,
        Column("codes", "integers", "stored codes that occur", NONE),
        Column("counts", "integers", "how often each of them occurs", ELEMENTS),
        ATTENTION_OR_EXPERT,
    ),
)

COVERAGE = Schema(
    "coverage.csv, coverage.parquet",
    "one tensor of the index or the headers",
    (
        MODEL,
        PARAM_NAME,
        SHARD,
        DTYPE,
        SHAPE,
        NUMEL,
        NBYTES,
        Column("status", "string", "analysed, buffer, companion, unsupported, missing or left out"),
        Column("reason", "string", "why it was not analyzed, or what was noticed"),
        ATTENTION_OR_EXPERT,
    ),
)


def _from_matrices(name: str, meaning: str, new_name: str = "", type: str = "") -> Column:
    """The column of the table matrices that a column of the table layers sums up."""
    column = next(column for column in MATRICES.columns if column.name == name)
    return replace(column, name=new_name or name, meaning=meaning, type=type or column.type)


LAYERS = Schema(
    "layers.csv, layers.parquet",
    "one block type and role in one layer of one component (layer empty: outside the layers)",
    (
        MODEL,
        COMPONENT,
        LAYER_INDEX,
        BLOCK_TYPE,
        ATTENTION_OR_EXPERT,
        Column("tensors", "integer", "number of stored tensors", NONE),
        Column("matrices", "integer", "number of matrices", NONE),
        Column("parameters", "integer", "number of elements", ELEMENTS),
        NBYTES,
        _from_matrices("mean", "mean of all values, without additive biases"),
        _from_matrices("std", "standard deviation of all values together, without additive biases"),
        Column(
            "std_mean",
            "number",
            "mean of the tensors' standard deviations, without additive biases",
            WEIGHT,
            "mean of s over the tensors",
        ),
        _from_matrices("absmax", "largest |w|, without additive biases"),
        _from_matrices("sparsity", "share of finite elements with |w| ≤ sparsity_threshold"),
        _from_matrices("zero_fraction", "share of finite elements that are exactly zero"),
        Column("nan_count", "integer", "NaN elements", ELEMENTS),
        Column("inf_count", "integer", "infinite elements", ELEMENTS),
        _from_matrices("kurtosis_excess", "mean excess kurtosis of the matrices"),
        _from_matrices("outlier_6sigma", "share of elements beyond 6 std of their tensor"),
        _from_matrices("entropy_bits", "mean entropy of the stored codes"),
        _from_matrices("rank_ratio", "mean of rank / min(rows, cols) of the matrices"),
        _from_matrices(
            "resolved_rank_ratio", "mean of resolved_rank / min(rows, cols) of the matrices"
        ),
        _from_matrices("stable_rank", "mean stable rank of the matrices"),
        _from_matrices(
            "effective_rank_sigma",
            "mean effective rank (p = σ / Σσ) of the matrices",
            "effective_rank",
        ),
        _from_matrices("spectral_norm", "largest σ₁ of the matrices"),
        _from_matrices("frobenius_norm", "root of the sum of squares of the matrices"),
        _from_matrices("condition_number", "median condition number of the matrices"),
        _from_matrices(
            "alpha",
            "mean power-law exponent of the matrices whose fit passes (alpha_passes)",
        ),
        Column(
            "alpha_fits",
            "integer",
            "number of matrices whose power law passes; alpha is missing if there are none",
            NONE,
        ),
        _from_matrices("spikes", "mean number of spikes of the matrices", type="number"),
    ),
)
