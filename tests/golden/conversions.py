"""Make tests/data/conversions.json: models under the names that transformers writes and uses.

    python tests/golden/conversions.py tests/data/conversions.json

needs transformers 5 and torch; the tests need neither. Made with transformers 5.24.0.

`save_pretrained` writes the names of the original checkpoint, which the conversion mappings of
transformers turn into the names of its modules: other prefixes, stacked experts, gate and up in one
tensor. For each model type the file holds the config, the shapes of the written tensors, and for
each tensor of the modules what it consists of: a name, or for a stack of experts a list with the
names of each expert's pieces, which lie below each other.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file

TEXT = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "moe_intermediate_size": 24,
    "shared_expert_intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_local_experts": 4,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "tie_word_embeddings": False,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

# Further keys of model types, beside TEXT.
MODELS = {
    "mixtral": {},
    "qwen2_moe": {},
    "phimoe": {},
    "deepseek_v3": {
        **{"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "q_lora_rank": 16},
        **{"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8},
    },
    "minimax": {"layer_types": ["full_attention", "full_attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2},
    "qwen3_next": {
        **{"linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2},
        **{"linear_num_value_heads": 4},
    },
    "lfm2_moe": {"num_dense_layers": 1, "layer_types": ["conv", "full_attention"]},
}

VISION = {
    **{"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "image_size": 8},
    **{"num_attention_heads": 2, "patch_size": 4, "projection_dim": 16},
}

# Models with a vision tower: the types of both, and keys beside them.
SEEING = {
    "llava": ("clip_vision_model", "llama", {}),
    "gemma3": ("siglip_vision_model", "gemma3_text", {"mm_tokens_per_image": 4}),
    "mistral3": ("pixtral", "mistral", {}),
}


def built(model_type):
    """A model of random weights, all different."""
    auto = transformers.AutoConfig
    if model_type in SEEING:
        seeing, reading, more = SEEING[model_type]
        config = auto.for_model(
            model_type,
            vision_config={"model_type": seeing, **VISION},
            text_config={"model_type": reading, **TEXT},
            **more,
        )
        model = transformers.AutoModelForImageTextToText.from_config(config)
    else:
        config = auto.for_model(model_type, **TEXT | MODELS[model_type])
        model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model.eval()


def made_of(tensor, names):
    """What a tensor of a module consists of; `names` are those in the file by the bytes."""
    if name := names.get(key(tensor)):
        return name
    assert tensor.ndim == 3, tensor.shape
    return [pieces(expert, names) for expert in tensor]


def pieces(matrix, names):
    if name := names.get(key(matrix)):
        return [name]
    return [names[key(half)] for half in matrix.chunk(2)]


def key(tensor):
    return tuple(tensor.shape), tensor.detach().contiguous().numpy().tobytes()


def case(model_type):
    torch.manual_seed(0)
    model = built(model_type)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        written = load_file(next(Path(folder).glob("*.safetensors")))
        config = json.loads(Path(folder, "config.json").read_text())
    names = {key(tensor): name for name, tensor in written.items()}
    used = {name: made_of(tensor, names) for name, tensor in model.named_parameters()}
    shapes = {name: list(written[name].shape) for name in sorted(listed(used))}
    return {"config": config, "written": shapes, "used": used}


def listed(used):
    for value in used.values():
        for expert in [[value]] if isinstance(value, str) else value:
            yield from expert


if __name__ == "__main__":
    found = {}
    for each in (*MODELS, *SEEING):
        found[each] = case(each)
        same = sum(name == value for name, value in found[each]["used"].items())
        print(f"{each}: {same} of {len(found[each]['used'])} tensors have the same name")
    about = {"made_with": f"transformers {transformers.__version__}", "models": found}
    Path(sys.argv[1]).write_text(json.dumps(about, separators=(",", ":")) + "\n")
