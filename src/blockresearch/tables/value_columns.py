"""The columns of the values of a tensor: moments, quantiles, shares, the largest weights.

In the formulas, w are the elements of a tensor and N is the number of finite ones.
"""

from blockresearch.tables.column import (
    BITS,
    ELEMENTS,
    NONE,
    SHARE,
    WEIGHT,
    WEIGHT_SQUARED,
    Column,
)
from blockresearch.tables.sources import (
    SHANNON,
)
from blockresearch.tables.tensor_columns import (
    NUMEL,
)

# The statistics of values that are among the contract's 16 columns.
MOMENTS = (
    Column("mean", "number", "mean of the finite values", WEIGHT, "μ = Σw / N", label="mean"),
    Column(
        "std",
        "number",
        "standard deviation of the finite values (ddof 0)",
        WEIGHT,
        "s = √(Σ(w − μ)² / N)",
        label="standard deviation",
    ),
    Column(
        "var",
        "number",
        "variance of the finite values (ddof 0)",
        WEIGHT_SQUARED,
        "s² = Σ(w − μ)² / N",
        label="variance",
    ),
    Column(
        "sparsity",
        "number",
        "share of finite elements with |w| ≤ sparsity_threshold",
        SHARE,
        "#{|w| ≤ sparsity_threshold} / N",
        label="near zero",
    ),
)

# Column -> share of the finite values that lie below.
QUANTILES = {
    "q001": 0.001,
    "q01": 0.01,
    "q05": 0.05,
    "q25": 0.25,
    "q50": 0.50,
    "q75": 0.75,
    "q95": 0.95,
    "q99": 0.99,
    "q999": 0.999,
}

VALUES = (
    NUMEL,
    Column("finite_count", "integer", "elements that are neither NaN nor infinite", ELEMENTS, "N"),
    Column("nan_count", "integer", "NaN elements", ELEMENTS),
    Column("posinf_count", "integer", "elements equal to +Inf", ELEMENTS),
    Column("neginf_count", "integer", "elements equal to -Inf", ELEMENTS),
    Column("min", "number", "smallest finite value", WEIGHT, "min w", label="smallest w"),
    Column("max", "number", "largest finite value", WEIGHT, "max w", label="largest w"),
    Column("absmax", "number", "largest |w|", WEIGHT, "max |w|", label="largest |w|"),
    Column("rms", "number", "root of the mean square", WEIGHT, "√(Σw² / N)"),
    Column("skewness", "number", "third standardized moment", NONE, "Σ(w − μ)³ / (N s³)"),
    Column(
        "kurtosis_excess",
        "number",
        "fourth standardized moment minus 3 (0 for a normal distribution)",
        NONE,
        "Σ(w − μ)⁴ / (N s⁴) − 3",
        label="excess kurtosis",
    ),
    Column(
        "zero_fraction",
        "number",
        "share of finite elements that are exactly zero",
        SHARE,
        "#{w = 0} / N",
        label="exact zeros",
    ),
    *(
        Column(
            name,
            "number",
            "median" if level == 0.5 else f"{100 * level:g} % quantile",
            WEIGHT,
            f"interpolated between the sorted values ⌊h⌋ and ⌊h⌋ + 1, h = {level:g} (N − 1)",
            "the default of numpy.quantile",
        )
        for name, level in QUANTILES.items()
    ),
    Column(
        "outlier_3sigma",
        "number",
        "share of finite elements more than 3 std from the mean",
        SHARE,
        "#{|w − μ| > 3 s} / N",
        label="beyond 3 std",
    ),
    Column(
        "outlier_6sigma",
        "number",
        "share of finite elements more than 6 std from the mean",
        SHARE,
        "#{|w − μ| > 6 s} / N",
        label="beyond 6 std",
    ),
    Column(
        "max_over_rms",
        "number",
        "absmax / rms",
        NONE,
        "max |w| / √(Σw² / N)",
        label="largest |w| / rms",
    ),
    Column(
        "entropy_bits",
        "number",
        "Shannon entropy of the stored codes",
        BITS,
        "H = −Σ p log₂ p over the stored codes",
        SHANNON,
        "entropy",
    ),
    Column(
        "entropy_sign_bits",
        "number",
        "entropy of the sign bit",
        BITS,
        "−Σ p log₂ p over the signs",
        SHANNON,
    ),
    Column(
        "entropy_exponent_bits",
        "number",
        "entropy of the exponent field",
        BITS,
        "−Σ p log₂ p over the exponents",
        SHANNON,
    ),
    Column(
        "entropy_mantissa_bits",
        "number",
        "entropy of the mantissa field",
        BITS,
        "−Σ p log₂ p over the mantissas",
        SHANNON,
    ),
    Column("distinct_values", "integer", "number of different finite values", NONE),
    Column(
        "fp16_exact_fraction",
        "number",
        "share of finite elements that float16 represents exactly",
        SHARE,
        "#{w = float16(w)} / N",
    ),
    Column(
        "row_norm_cv",
        "number",
        "coefficient of variation (std / mean) of the rows' L2 norms",
        NONE,
        "std(‖wᵢ‖) / mean(‖wᵢ‖) over the rows wᵢ",
    ),
    Column(
        "row_norm_max_over_median",
        "number",
        "largest over median L2 norm of the rows",
        NONE,
        "max ‖wᵢ‖ / median ‖wᵢ‖ over the rows wᵢ",
    ),
    Column(
        "col_norm_cv",
        "number",
        "coefficient of variation of the columns' L2 norms",
        NONE,
        "std(‖wⱼ‖) / mean(‖wⱼ‖) over the columns wⱼ",
    ),
    Column(
        "col_norm_max_over_median",
        "number",
        "largest over median L2 norm of the columns",
        NONE,
        "max ‖wⱼ‖ / median ‖wⱼ‖ over the columns wⱼ",
    ),
    Column(
        "row_absmax_max_over_median",
        "number",
        "largest over median absmax of the rows",
        NONE,
        "max aᵢ / median aᵢ, aᵢ = max |w| of row i",
    ),
    Column(
        "col_absmax_max_over_median",
        "number",
        "largest over median absmax of the columns",
        NONE,
        "max aⱼ / median aⱼ, aⱼ = max |w| of column j",
    ),
    Column("zero_rows", "integer", "rows without a finite value other than zero", NONE),
    Column("zero_cols", "integer", "columns without a finite value other than zero", NONE),
)

TOP = (
    Column(
        "top_values",
        "numbers",
        "the 16 largest |w|, signed, largest first",
        WEIGHT,
        "the w with the largest |w|",
    ),
    Column("top_rows", "integers", "their rows, from 0", NONE),
    Column("top_cols", "integers", "their columns, from 0", NONE),
)
