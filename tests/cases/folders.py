"""Folders as public reports describe them: files beside each other, token tables, lost tensors.

A case is a function that writes a checkpoint into a folder and returns what is right for it, a dict
of `weights` (tensor: values), `refused` (words of the sentence), `warned` (words that warnings
contain), `findings` (checks of the audit that are errors or warnings), `notes` (checks that are
notes), `parameters`. What is not stated must not happen: no refusal, no warning, no finding.
"""

import json

import numpy as np

from tests.cases.checkpoints import Cases, from_bf16, llama, save

CASES = Cases()

UP = "model.layers.0.mlp.up_proj.weight"


def values(tensor):
    return {UP: from_bf16(tensor.codes)}


def write(folder, tensors, config, name="model.safetensors"):
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / name, tensors)
    (folder / "config.json").write_text(json.dumps(config))


def numbered(stem, count):
    return [f"{stem}-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]


def write_shards(folder, count, seed=0, stem="model", extra=()):
    """A numbered set; `extra` are tensors of a shard each. Returns the tensors."""
    tensors, config = llama(seed=seed)
    for place, name in enumerate(numbered(stem, count)):
        part = {n: tensors[n] for n in list(tensors)[place::count]}
        write(folder, part | dict(extra[place] if extra else {}), config, name)
    return tensors


def write_index(folder, tensors, count, name="model.safetensors.index.json", stem="model", **moved):
    shards = numbered(stem, count)
    weight_map = {n: shards[place % count] for place, n in enumerate(tensors)} | moved
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))


# An index of another build: mlx-vlm pull request 1827, nativ pull request 370.


@CASES.add
def a_stale_index_beside_one_file(folder):
    tensors, config = llama(seed=9)
    write(folder, tensors, config)
    write_index(folder, tensors, 3)
    warned = ["stale_index", "model.safetensors.index.json", "model.safetensors is read"]
    return {"weights": values(tensors[UP]), "warned": warned, "notes": {"stale_index"}}


@CASES.add
def a_stale_index_beside_two_shards(folder):
    tensors = write_shards(folder, 2, seed=9)
    write_index(folder, tensors, 3)
    warned = ["stale_index", *numbered("model", 2)]
    return {"weights": values(tensors[UP]), "warned": warned, "notes": {"stale_index"}}


@CASES.add
def a_stale_index_of_a_variant(folder):
    tensors, config = llama(seed=9)
    write(folder, tensors, config, "model.fp16.safetensors")
    write_index(folder, tensors, 3, "model.safetensors.index.fp16.json", "model.fp16")
    warned = ["stale_index", "model.fp16.safetensors is read"]
    return {"weights": values(tensors[UP]), "warned": warned, "notes": {"stale_index"}}


@CASES.add
def a_stale_index_beside_another_stem(folder):
    tensors, config = llama(seed=9)
    write(folder, tensors, config, "vision.safetensors")
    write_index(folder, tensors, 3)
    return {"refused": ["model.safetensors.index.json", "file=vision.safetensors"]}


@CASES.add
def an_old_set_with_its_index_and_a_new_file(folder):
    tensors = write_shards(folder, 3, seed=9)
    write_index(folder, tensors, 3)
    write(folder, *llama(seed=99))
    warned = ["other_weights", "model.safetensors left alone", "file=model.safetensors"]
    return {"weights": values(tensors[UP]), "warned": warned, "notes": {"other_weights"}}


# Weights in folders below, or several at the root: vllm issue 10966, mlx-lm issue 1119.


@CASES.add
def weights_in_one_folder_below(folder):
    write(folder / "0_Transformer", *llama())
    (folder / "modules.json").write_text("[]")
    return {"refused": ["0_Transformer", "--subfolder 0_Transformer"]}


@CASES.add
def weights_in_several_folders_below(folder):
    for name in ("unet", "vae", "text_encoder"):
        write(folder / name, *llama(), "diffusion_pytorch_model.safetensors")
    return {"refused": ["text_encoder, unet, vae", "--subfolder"]}


@CASES.add
def weights_two_folders_below(folder):
    write(folder / "checkpoints/step_100", *llama())
    return {"refused": ["--subfolder checkpoints/step_100"]}


@CASES.add
def several_files_at_the_root(folder):
    for name in ("style_a", "style_b"):
        write(folder, *llama(), f"{name}.safetensors")
    return {"refused": ["style_a.safetensors, style_b.safetensors", "file=style_a.safetensors"]}


@CASES.add
def an_adapter_beside_its_earlier_steps(folder):
    tensors, config = llama()
    for name in ("adapters", "0000100_adapters", "0000200_adapters"):
        write(folder, tensors, config, f"{name}.safetensors")
    warned = ["other_weights", "0000100_adapters.safetensors", "adapters.safetensors is read"]
    return {"warned": warned, "notes": {"other_weights"}}


# Index, headers and shards that disagree.


NORM = "model.norm.weight"


@CASES.add
def other_bytes_of_one_name_in_two_shards(folder):
    tensors, _ = llama()
    copies = [{NORM: tensors[NORM]}, {NORM: np.ones(32, "<f4")}]
    write_shards(folder, 2, extra=copies)
    return {"refused": [NORM, *numbered("model", 2), "different bytes"]}


@CASES.add
def other_scales_of_one_name_in_two_shards(folder):
    name = "model.layers.0.mlp.up_proj.weight_scale"
    write_shards(folder, 2, extra=[{name: np.full(1, value, "<f4")} for value in (1, 2)])
    return {"refused": [name, *numbered("model", 2), "different bytes"]}


@CASES.add
def other_bytes_of_which_the_index_names_one(folder):
    tensors, _ = llama()
    ones = np.ones(32, "<f4")
    write_shards(folder, 2, extra=[{NORM: ones}, {NORM: ones + 1}])
    write_index(folder, tensors, 2, **{NORM: numbered("model", 2)[1]})
    warned = ["duplicate_tensor", NORM, *numbered("model", 2)]
    return {
        **{"weights": {NORM: ones + 1}, "warned": warned},
        "findings": {"duplicate_tensor"},
    }


@CASES.add
def the_same_bytes_of_one_name_in_two_shards(folder):
    tensors, _ = llama()
    write_shards(folder, 2, extra=[{NORM: tensors[NORM]}] * 2)
    return {
        **{"weights": values(tensors[UP]), "warned": ["repeated_tensor", NORM]},
        **{"notes": {"repeated_tensor"}, "parameters": counted(tensors)},
    }


@CASES.add
def a_tensor_in_another_shard_than_the_index_says(folder):
    tensors = write_shards(folder, 2)
    place = list(tensors).index(NORM)
    write_index(folder, tensors, 2, **{NORM: numbered("model", 2)[1 - place % 2]})
    return {"warned": ["misplaced_tensor", NORM], "findings": {"misplaced_tensor"}}


@CASES.add
def a_tensor_that_no_shard_holds(folder):
    tensors = write_shards(folder, 2)
    write_index(folder, tensors, 2, ghost=numbered("model", 2)[0])
    return {"warned": ["missing_tensor", "ghost"], "findings": {"missing_tensor"}}


@CASES.add
def a_lone_shard_of_three(folder):
    tensors, config = llama()
    write(folder, tensors, config, numbered("model", 3)[0])
    return {"refused": ["2 of 3 shards are missing", numbered("model", 3)[1]]}


@CASES.add
def a_lone_shard_of_three_that_is_the_index(folder):
    tensors, config = llama()
    shard = numbered("model", 3)[0]
    write(folder, tensors, config, shard)
    write_index(folder, tensors, 3, **dict.fromkeys(tensors, shard))
    return {"warned": ["incomplete_set", shard], "findings": {"incomplete_set"}}


@CASES.add
def a_folder_of_the_hubs_cache(folder):
    tensors, config = llama()
    for name in ("blobs", "refs"):
        (folder / name).mkdir(parents=True)
    write(folder / "snapshots/old", *llama(seed=1))
    write(folder / "snapshots/new", tensors, config)
    (folder / "refs/main").write_text("new")
    return {"weights": values(tensors[UP])}


@CASES.add
def a_folder_of_the_hubs_cache_without_main(folder):
    for name in ("blobs", "refs"):
        (folder / name).mkdir(parents=True)
    write(folder / "snapshots/old", *llama())
    return {"refused": ["snapshots/old"]}


@CASES.add
def bytes_behind_the_data(folder):
    """ComfyUI issue 15602."""
    write(folder, *llama())
    with (folder / "model.safetensors").open("ab") as file:
        file.write(bytes(16))
    return {"refused": ["model.safetensors", "foreign bytes"]}


# Tied tensors that are stored once, twice or not at all.


def counted(tensors):
    return sum(int(np.prod(tensor.shape)) for tensor in tensors.values())


@CASES.add
def a_tied_head_that_a_merge_stored_again(folder):
    """mergekit issues 385 and 390."""
    tensors, config = llama()
    once = counted(tensors) - counted({"": tensors["lm_head.weight"]})
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    write(folder, tensors, config | {"tie_word_embeddings": True})
    return {"parameters": once, "notes": {"stored_twice"}}


@CASES.add
def a_head_that_is_missing_from_a_multimodal_class(folder):
    """Qwen3-VL-Embedding issue 89."""
    tensors, text = llama()
    tensors.pop("lm_head.weight")
    renamed = {n.replace("model.", "model.language_model.", 1): t for n, t in tensors.items()}
    config = {
        **{"model_type": "qwen3_vl", "architectures": ["Qwen3VLForConditionalGeneration"]},
        **{"tie_word_embeddings": False, "text_config": text | {"model_type": "qwen3_vl_text"}},
    }
    write(folder, renamed, config)
    return {"findings": {"missing_tensor"}}


@CASES.add
def a_tied_embedding_model_without_the_prefix(folder):
    tensors, config = llama()
    tensors.pop("lm_head.weight")
    renamed = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    config |= {"model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "head_dim": 8}
    write(folder, renamed, config | {"tie_word_embeddings": True})
    return {}
