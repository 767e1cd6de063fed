"""Arguments name all that a result depends on, and nothing else."""

from blockresearch.run import arguments
from blockresearch.run.model import parse_model

CONFIG = {"analyses": ["tensors"], "sparsity_threshold": 0.5, "spectra": "full", "sketch_above": 9}
HUB = {
    "model_id": "org/model",
    "files": [{"path": "a.safetensors", "sha256": "0123456789abcdef", "git_sha1": None}],
}


def test_settings_without_effect_are_left_out():
    assert arguments.measure_flags(CONFIG) == "--sparsity_threshold=0.5 --spectra=full"
    sketch = CONFIG | {"spectra": "sketch"}
    assert arguments.measure_flags(sketch).startswith("--sketch_above=9 ")
    assert "sketch_above" in arguments.report_flags(sketch, "00_setup")
    assert "sketch_above" not in arguments.report_flags(CONFIG, "00_setup")
    assert arguments.report_flags(CONFIG, "20_per_layer") == ""


def test_the_digest_is_among_the_flags_of_a_part():
    one, other = (arguments.part_flags(CONFIG, {"digest": digest}) for digest in ("1", "2"))
    assert one != other and arguments.measure_flags(CONFIG).split()[0] in one


def test_companions_are_named_with_their_places():
    part = {"companions": [{"shard": "a.safetensors"}]}
    place = "a.safetensors=weights/0123456789ab/a.safetensors"
    assert arguments.companion_flags(part, HUB, "weights") == f"--companion_shard={place}"
    assert arguments.companion_flags({"companions": []}, HUB, "weights") == ""


def test_space_is_checked_for_the_shards_at_once():
    config = {"weights": "w", "shards_on_disk": 4}
    assert arguments.space_flags(config | {"keep_weights": True}) == "--weights=w"
    assert "--shards_on_disk=4" in arguments.space_flags(config | {"keep_weights": False})


def test_a_model_is_resolved_with_its_selection():
    flags = arguments.resolve_flags(CONFIG, parse_model("org/model@v1", variant="fp16"))
    assert flags == "--model=org/model --name=org--model--fp16@v1 --revision=v1 --variant=fp16"
    assert "--only_tokens" in arguments.resolve_flags({"analyses": []}, parse_model("org/model"))
