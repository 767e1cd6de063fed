"""Which tokens may name a direction: those with a text that do not look untrained."""

import numpy as np
import pandas as pd

from blockresearch.circuits.direction_rows import Tokens

# Kinds of rows that no text leads to.
UNNAMED, UNUSED = "unnamed", "unused"


def shown_tokens(table: pd.DataFrame) -> Tokens:
    """The rows of the table tokens, in order.

    Rows without a text, unused ones, reference rows and those as alike to untrained rows as half of
    the reference rows are not kept.
    """
    scores = table["undertrained_score"].astype(float).to_numpy()
    is_reference = table["reference"].fillna(False).to_numpy(dtype=bool)
    known = scores[is_reference & np.isfinite(scores)]
    is_untrained = scores >= np.median(known) if len(known) else np.zeros(len(table), bool)
    texts = table["token"].fillna("")
    kept = (
        (texts != "").to_numpy()
        & (table["kind"].fillna(UNNAMED) != UNNAMED).to_numpy(dtype=bool)
        & (table["category"].fillna("") != UNUSED).to_numpy(dtype=bool)
        & ~is_reference
        & ~is_untrained
    )
    return Tokens(texts.tolist(), kept)
