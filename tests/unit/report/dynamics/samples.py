"""A training run on the disk, as join_steps leaves it."""

from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

FACTS = {"model": "org--run", "tool": "AI Block Research 0"}


def write_run(folder, blocks=("q_proj", "up_proj"), names=("step0", "step10", "step20"), layers=2):
    """A run in which the second kind of matrix moves twice as far; layer 0 never does."""
    rows = []
    for position, step in enumerate(names):
        digits = step.removeprefix("step")
        for layer in range(layers):
            for number, block in enumerate(blocks):
                size = 0.01 * (1 + number) * (layer > 0)
                rows.append(
                    {
                        "step": step,
                        "position": position,
                        "step_number": int(digits) if digits.isdigit() else None,
                        "param_name": f"layers.{layer}.{block}.weight",
                        "component": "text",
                        "layer_index": layer,
                        "block_type": block,
                        "rows": 8,
                        "cols": 8,
                        "is_read": position == 0 or layer > 0,
                        "frobenius_norm": 4.0,
                        "spectral_norm": 2.0,
                        "stable_rank": 4.0 + position,
                        "change_from_first": size * position,
                        "change_from_previous": size * position if position else None,
                        "delta_storage_rank": 3 if position else None,
                    }
                )
    folder.mkdir(parents=True)
    write_both(frame(rows, "dynamics"), "dynamics", folder / "dynamics", FACTS)
    return folder
