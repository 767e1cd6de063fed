"""A training run on the disk, as join_steps leaves it."""

from blockresearch.compare.knees import knees
from blockresearch.tables.io import frame
from blockresearch.tables.labels import write_both

FACTS = {"model": "org--run", "tool": "AI Block Research 0"}


def write_run(
    folder,
    blocks=("q_proj", "up_proj"),
    names=("step0", "step10", "step20"),
    layers=2,
    slows_at=None,
    heads=4,
):
    """A run in which the second kind of matrix moves twice as far; layer 0 never does. From
    the place `slows_at` on, steps are a tenth as long."""
    rows = []
    for position, step in enumerate(names):
        digits = step.removeprefix("step")
        for layer in range(layers):
            for number, block in enumerate(blocks):
                size = 0.01 * (1 + number) * (layer > 0)
                late = max(position - slows_at, 0) if slows_at else 0
                walked = position - 0.9 * late
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
                        "change_from_first": size * walked,
                        "change_from_previous": size * position if position else None,
                        "delta_storage_rank": 3 if position else None,
                    }
                )
    folder.mkdir(parents=True)
    of_heads = [
        {
            **{name: row[name] for name in ("step", "position", "step_number", "component")},
            **{"layer_index": row["layer_index"], "head": head, "kv_head": head // 2},
            **{f"{letter}_norm": 2.0 for letter in "qkvo"},
            **{
                f"{letter}_change_from_first": row["change_from_first"] * (1 + head)
                for letter in "qkvo"
            },
        }
        for row in rows
        if row["block_type"] == "q_proj"
        for head in range(heads)
    ]
    dynamics, of_heads = frame(rows, "dynamics"), frame(of_heads, "dynamics_heads")
    write_both(of_heads, "dynamics_heads", folder / "dynamics_heads", FACTS)
    write_both(frame(knees(dynamics, of_heads), "knees"), "knees", folder / "knees", FACTS)
    write_both(dynamics, "dynamics", folder / "dynamics", FACTS)
    return folder
