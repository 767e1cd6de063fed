"""Small tables for the tests of pictures."""


def layer_rows(depth, blocks=("q_proj", "v_proj", "down_proj"), component="text"):
    return [
        {
            "component": component,
            "layer_index": layer,
            "block_type": block,
            "tensors": 1,
            "matrices": 1,
            "parameters": 64,
            "std": 0.02 * (1 + layer),
            "stable_rank": 3.0 + layer,
        }
        for layer in range(depth)
        for block in blocks
    ]
