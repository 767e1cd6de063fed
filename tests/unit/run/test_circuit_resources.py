"""What the jobs of circuits ask for follows from layers and heads."""

from blockresearch.run import circuit_resources, resources


def test_circuits_grow_with_the_square_of_the_depth():
    def manifest(layers):
        shapes = {"q_proj": (8, 8), "k_proj": (2, 8), "v_proj": (2, 8), "o_proj": (8, 8)}
        tensors = [
            {
                "layout": {},
                "name": f"layers.{layer}.{kind}",
                "shape": shape,
                "role": {"component": "text", "layer_index": layer, "block_type": kind},
            }
            for layer in range(layers)
            for kind, shape in shapes.items()
        ]
        return {"tensors": tensors, "embedding": None, "output": None}

    size = resources.size(manifest(3), {"parts": []})
    assert (size.attention, size.deepest) == (3 * 160, 160)
    # Each of 3 pairs of layers: 8 · 8 written elements times 2 + 2 rows of keys and values.
    assert size.products == 3 * 64 * 4
    deep = resources.size(manifest(4000), {"parts": []})
    one, four = (circuit_resources.to_find_circuits(deep, cores) for cores in (1, 4))
    assert one["predicted_s"] >= four["predicted_s"] and one["mem_mb"] <= four["mem_mb"]
