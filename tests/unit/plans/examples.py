"""Tables of a small model, with rounding errors that are set."""

import pandas as pd

from blockresearch.tables.io import frame
from blockresearch.tables.schemas import LOW_BIT_FORMATS

# Block -> rows, columns.
SHAPES = {
    "self_attn.q_proj": (256, 256),
    "self_attn.k_proj": (128, 256),
    "self_attn.v_proj": (128, 256),
    "self_attn.o_proj": (256, 256),
    "mlp.gate_proj": (512, 256),
    "mlp.up_proj": (512, 256),
    "mlp.down_proj": (256, 512),
}

# Decibels lost by each format; the first layer loses 3 dB more.
SQNR = {"int8_channel": 44, "fp8_channel": 32, "fp8_tensor": 31, "nvfp4": 20.5, "nf4": 20}
SQNR |= {"int4_g128_asym": 20.2, "int4_g128_sym": 19.4, "mxfp4": 18.7}


def row(name: str, rows: int, cols: int, layer: int | None, block: str, **more) -> dict:
    """What the tables params and matrices have in common, and what a plan reads of both."""
    loss, depth = 3.0 if layer == 0 else 0.0, layer or 0
    ratios = {f"{format}_sqnr_db": SQNR[format] - loss for format in LOW_BIT_FORMATS}
    return {
        "param_name": name,
        "layer_index": layer,
        "block_type": block,
        "projection": block,
        "component": "text",
        "role": None,
        "is_bias": False,
        "rows": rows,
        "cols": cols,
        "numel": rows * cols,
        "dtype": "BF16",
        "quantisation": None,
        "rms": 0.02,
        "max_over_rms": 6.0,
        "kurtosis_excess": 0.5,
        # High first is the last layer by all criteria but kappa.
        "spectrum_snr": 1.0 + depth,
        "calibrated_snr_db": 3.0 + depth,
        "condition_number": 100.0 + 10 * depth,
        "spectral_norm": 2.0,
        "alpha_hill": 2.0 + 0.1 * depth,
        "stable_rank": 20.0 + depth,
        "alpha": 3.0,
        "alpha_passes": True,
        "nan_count": 0,
        "posinf_count": 0,
        "neginf_count": 0,
        **ratios,
        **more,
    }


def tables(layers: int = 3, **more) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables params and matrices of a model with an embedding; `more` changes every row."""
    rows = [row("model.embed_tokens.weight", 1000, 256, None, "embedding", **more)]
    rows += [
        row(f"model.layers.{n}.{name}.weight", *shape, n, name.rpartition(".")[2], **more)
        for n in range(layers)
        for name, shape in SHAPES.items()
    ]
    stored = [
        {**each, "shape": [each["rows"], each["cols"]], "nbytes": 2 * each["numel"]}
        for each in rows
    ]
    return (
        frame([_known(each, "params") for each in stored], "params"),
        frame([_known(each, "matrices") for each in rows], "matrices"),
    )


def _known(each: dict, table: str) -> dict:
    from blockresearch.tables.io import columns

    return {name: value for name, value in each.items() if name in columns(table)}


def size(params: pd.DataFrame) -> int:
    """Bytes of all tensors."""
    return int(params["nbytes"].sum())
