"""Small tables with planted cases."""

from blockresearch.tables.io import frame

PLACE = {"component": "decoder", "rows": 8, "cols": 8, "numel": 64, "finite_count": 64}


def layers(values, column, block="up_proj", name="layers.{}.up_proj.weight", **more):
    """A matrix of one kind in each layer with these `values` of a column."""
    kind = PLACE | {"block_type": block, "projection": block}
    return [
        kind | {"param_name": name.format(n), "layer_index": n, column: value} | more
        for n, value in enumerate(values)
    ]


def matrices(*groups):
    return frame([row for group in groups for row in group], "matrices")


def params(*groups):
    return frame([row for group in groups for row in group], "params")


def by_id(findings):
    return {finding.id: finding for finding in findings}
