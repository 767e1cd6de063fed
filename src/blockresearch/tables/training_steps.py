"""The steps of a training run in its tables: what counts them, and how many a knee needs.

What measures knees and what draws curves count steps alike.
"""

import pandas as pd

# With fewer steps, no knee is searched: two lines leave nothing that could contradict them.
FEWEST_STEPS = 5


def counted_by(steps: pd.DataFrame) -> str:
    """The column that counts steps: the numbers in their names if they grow from step to step, else
    their places."""
    found = steps.drop_duplicates("position").sort_values("position")["step_number"]
    if found.notna().all() and found.astype(float).diff().iloc[1:].gt(0).all():
        return "step_number"
    return "position"
