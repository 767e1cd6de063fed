"""What jobs ask for holds what they were measured to take, and is not far above it."""

import pytest

from blockresearch.checkpoint.describe import describe_folder
from blockresearch.checkpoint.manifest import manifest_json
from blockresearch.checkpoint.plan import make_plan, plan_json
from blockresearch.run import resources
from blockresearch.run.resources import (
    MB,
    MEMORY_FACTOR,
    Size,
    clustering_seconds,
    to_cluster,
    to_make,
    to_measure_shard,
    to_resolve,
)
from blockresearch.spectra.cost import predicted_seconds

# Of simulated models: dense of 36 and of 126 layers, experts; see tests/benchmarks/predictions.py.
QWEN3_4B = Size(rows=326, values=504_000, parts=26, tokens=49_152)
LLAMA_405B = Size(rows=1137, values=11_000_000, parts=382, tokens=49_152)
# Of results of the workflow, on a machine of about 0.6 of the speed.
SMOLLM2 = Size(rows=272, values=122_000, parts=3, tokens=49_152)
SPEED = 0.57
EXPERTS = Size(rows=46_177, values=91_000_000, parts=387, tokens=49_152)


@pytest.mark.parametrize(
    ("job", "model", "measured_mb", "seconds"),
    [
        ("merge", QWEN3_4B, 331, 2.0),
        ("merge", LLAMA_405B, 578, 9.5),
        ("transformer_analysis", SMOLLM2, 147, 0.94 * SPEED),
        ("audit_model", EXPERTS, 521, 8.4),
        ("findings", SMOLLM2, 270, 2.45 * SPEED),
        ("figures", SMOLLM2, 294, 6.4 * SPEED),
        ("00_setup", SMOLLM2, 193, 2.45 * SPEED),
        ("10_summary_stats", SMOLLM2, 336, 9.5 * SPEED),
        ("20_per_layer", SMOLLM2, 339, 10.2 * SPEED),
        ("30_embedding_output", SMOLLM2, 365, 8.9 * SPEED),
        ("model_page", SMOLLM2, 147, 1.0 * SPEED),
    ],
)
def test_requests_are_never_below_the_prediction(job, model, measured_mb, seconds):
    asked = to_make(job, model)["mem_mb"]
    assert measured_mb < asked < 1.3 * MEMORY_FACTOR * measured_mb
    assert seconds / 2 < resources.seconds(job, model) < 2 * seconds


@pytest.mark.parametrize(
    ("elements", "measured_mb", "seconds"),
    [
        (151_936 * 2560, 1362, 60),
        (49_152 * 576, 500, 18),
        (30_522 * 384, 452, 12),
        (4128 * 160, 372, 4.6),
    ],
)
def test_clustering_is_predicted(elements, measured_mb, seconds):
    asked = to_cluster(Size(elements=elements), 1)["mem_mb"]
    assert measured_mb < asked < 1.3 * MEMORY_FACTOR * measured_mb
    assert seconds / 2 < clustering_seconds(elements) < 2 * seconds


@pytest.mark.parametrize(
    ("layers", "shapes", "seconds"),
    [
        (30, [(576, 576)] * 2 + [(192, 576)] * 2 + [(1536, 576)] * 3, 22.0),
        (2, [(4096, 2560)] * 2 + [(1024, 2560)] * 2 + [(9728, 2560)] * 3, 52.4),
        (1, [(49152, 576)], 4.1),
    ],
    ids=["SmolLM2-135M", "Qwen3-4B", "an embedding"],
)
def test_a_comparison_takes_what_was_measured(layers, shapes, seconds):
    matrices = shapes * layers
    part = {
        **{"shard": "a", "size": 0, "memory": 0, "matrices": len(matrices)},
        "seconds": sum(predicted_seconds(*shape) for shape in matrices),
        "tensors": [{"shape": shape, "layout": {}} for shape in matrices],
    }
    assert resources.comparing([[part], [part]], 1).work == pytest.approx(seconds, rel=0.2)


def test_headers_determine_memory_of_resolve_model(model):
    shards = sorted(map(str, model.glob("*.safetensors")))
    small, unknown = to_resolve(shards), to_resolve([])
    assert 127 < small["mem_mb"] < 200 and 715 < unknown["mem_mb"] < 1000
    hostile = model / "model-00001-of-00002.safetensors"
    hostile.write_bytes(b"\xff" * 8 + b"{}")
    assert to_resolve(shards)["mem_mb"] == small["mem_mb"], "what is refused takes nothing"


def test_the_size_of_a_model_is_that_of_its_tables(model):
    manifest = describe_folder(str(model), "2026-01-01T00:00:00Z")
    plan = plan_json(make_plan(manifest))
    size = resources.size(manifest_json(manifest), plan)
    # Per layer seven matrices and a norm; embedding and last norm.
    assert (size.rows, size.parts, size.tokens, size.elements) == (18, 2, 64, 64 * 16)
    assert size.values == (1 + 2 * 7) * 16
    assert len(manifest.token_tensors) == 1


def test_a_further_attempt_asks_for_more():
    first, second = (to_make("merge", EXPERTS, attempt) for attempt in (1, 2))
    assert second["mem_mb"] == 2 * first["mem_mb"] and second["runtime"] == 2 * first["runtime"]


def test_a_streamed_shard_takes_its_largest_parts():
    sizes = ((60.0, 3 * MB * 1000), (20.0, MB * 1000), (40.0, 2 * MB * 1000))
    parts = [
        {"size": 5_000_000_000, "companions": [], "seconds": seconds, "memory": memory}
        for seconds, memory in sizes
    ]
    one, two = (to_measure_shard(parts, threads, True) for threads in (1, 2))
    assert one["mem_mb"] == 1.2 * 3000 and two["mem_mb"] == 1.2 * 5000
    assert one["predicted_s"] - two["predicted_s"] == 60
    assert one["disk_mb"] > 4768 and to_measure_shard([], 1, True)["mem_mb"] < 100
