"""Adapters as public reports describe them, each with the right changes of weights.

A case is a function that returns (files, right). `files` gives tensors or JSON by name, `right`
for the name of a module its change, [out, in] or [experts, out, in], or the word that the reason
contains. Sources are public issues and pull requests of the libraries that write these files.
"""

import json

import numpy as np

from tests.cases.checkpoints import Cases, Raw, brain, from_bf16, to_e4m3

CASES = Cases()

PEFT_FILES = ("adapter_model.safetensors", "adapter_config.json")


def layer(number, module):
    return f"base_model.model.model.layers.{number}.{module}"


def normal(seed):
    random = np.random.default_rng(seed)
    return lambda *shape: random.normal(0, 0.05, shape).astype("<f4")


def lora(draw, module, out, rank, into, names=("lora_A.weight", "lora_B.weight")):
    """Factors of a module by name, and their product without a scale."""
    a, b = draw(rank, into), draw(out, rank)
    return {f"{module}.{names[0]}": a, f"{module}.{names[1]}": b}, b.astype(float) @ a


def peft(tensors, **config):
    return dict(zip(PEFT_FILES, (tensors, {"peft_type": "LORA"} | config), strict=True))


def stack_of_experts(**config):
    """peft issue 2527 and pull request 3007: `target_parameters`."""
    draw, rank, experts = normal(5), 2, 4
    tensors, products = {}, {}
    for number in (0, 1):
        for wrapper, out, into in ((".base_layer", 48, 16), ("", 16, 24)):
            module = layer(number, f"mlp.experts{wrapper}")
            a, b = draw(experts * rank, into), draw(out, rank * experts)
            tensors |= {f"{module}.lora_A.weight": a, f"{module}.lora_B.weight": b}
            per_expert = a.reshape(experts, rank, into)
            products[module] = np.stack(
                [b[:, e::experts].astype(float) @ per_expert[e] for e in range(experts)]
            )
    names = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    config = {"r": rank, "lora_alpha": 8, "target_modules": [], "target_parameters": names} | config
    return peft(tensors, **config), products


@CASES.add
def experts_by_target_parameters():
    files, products = stack_of_experts()
    return files, {module: product * 4 for module, product in products.items()}


@CASES.add
def experts_with_patterns_and_square_root():
    more = {"use_rslora": True, "r": 16, "rank_pattern": {r"layers\.[01]\.mlp\.experts\..*": 2}}
    files, products = stack_of_experts(**more, alpha_pattern={"layers.1.*": 6})
    alphas = [8 if "layers.0" in module else 6 for module in products]
    scaled = zip(products.items(), alphas, strict=True)
    return files, {module: product * (alpha / 2**0.5) for (module, product), alpha in scaled}


@CASES.add
def experts_of_several_ranks():
    """Which factors are whose is not stored."""
    files, products = stack_of_experts(alpha_pattern={"gate_up_proj": 3})
    return files, dict.fromkeys(products, "several ranks or scales")


@CASES.add
def first_pattern_that_matches():
    """peft pull request 2419 and issue 3582."""
    draw, tensors, right = normal(51), {}, {}
    for number in range(2):
        for name, rank, alpha in (
            ("self_attn.q_proj", 4, 64 if number else 12),
            ("mlp.down_proj", 8, 8),
        ):
            module = layer(number, name)
            factors, product = lora(draw, module, 32, rank, 32)
            tensors |= factors
            right[module] = product * (alpha / rank)
    tensors["base_model.model.lm_head.modules_to_save.weight"] = draw(64, 32)
    config = {
        **{"r": 4, "lora_alpha": 8, "rank_pattern": {r".*mlp\..*": 8}},
        "alpha_pattern": {r"model\.layers\.1\..*q_proj": 64, "q_proj": 12},
    }
    return peft(tensors, **config), right


@CASES.add
def a_pattern_that_never_ends():
    draw, module = normal(52), layer(0, "self_attn.q_proj")
    factors, _ = lora(draw, module, 32, 4, 32)
    return peft(factors, r=4, rank_pattern={"(a+)+" * 20: 2}), {module: "is not evaluated"}


@CASES.add
def start_that_changes_the_weight():
    draw, module = normal(53), layer(0, "self_attn.q_proj")
    factors, _ = lora(draw, module, 32, 4, 32)
    return peft(factors, r=4, lora_alpha=4, init_lora_weights="pissa"), {module: "pissa"}


@CASES.add
def factors_of_which_one_is_quantized():
    draw, module = normal(55), layer(0, "self_attn.q_proj")
    factors, _ = lora(draw, module, 32, 4, 32)
    name = f"{module}.lora_A.weight"
    factors[name] = Raw("F8_E4M3", to_e4m3(factors[name] * 1000))
    factors[f"{name}_scale"] = np.array([1e-3], "<f4")
    return peft(factors, r=4, lora_alpha=4), {module: "quantized"}


@CASES.add
def factors_in_two_shards_of_bfloat16():
    draw, tensors, right = normal(54), {}, {}
    for number in range(2):
        module = layer(number, "self_attn.o_proj")
        factors, _ = lora(draw, module, 24, 4, 32)
        tensors |= {name: brain(factor) for name, factor in factors.items()}
        a, b = (from_bf16(tensors[f"{module}.lora_{x}.weight"].codes).astype(float) for x in "AB")
        right[module] = b @ a * 2
    shards = {f"adapter_model-0000{k}-of-00002.safetensors": {} for k in (1, 2)}
    for name, tensor in tensors.items():
        shards[f"adapter_model-0000{2 if 'lora_A' in name else 1}-of-00002.safetensors"][name] = (
            tensor
        )
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8}
    return shards | {"adapter_config.json": config}, right


@CASES.add
def inside_a_model_with_scales_in_its_config():
    """2U1/Phi3-Vision-Finetune issue 40, llama.cpp issue 12117: Phi-4-multimodal."""
    draw, tensors, right = normal(16), {}, {}
    adapters = {"speech": (4, 8), "vision": (8, 16)}
    for number in range(2):
        for name, out, into in (("self_attn.o_proj", 32, 32), ("mlp.down_proj", 32, 64)):
            module = f"model.layers.{number}.{name}"
            tensors[f"{module}.base_layer.weight"] = draw(out, into)
            for adapter, (rank, alpha) in adapters.items():
                names = (f"lora_A.{adapter}.weight", f"lora_B.{adapter}.weight")
                factors, product = lora(draw, module, out, rank, into, names)
                tensors |= factors
                right[f"{module} {adapter}"] = product * (alpha / rank)
    tensors["model.embed_tokens.weight"] = draw(64, 32)
    config = {"model_type": "phi4mm", "hidden_size": 32, "num_hidden_layers": 2}
    config |= {
        f"{name}_lora": {"r": r, "lora_alpha": alpha} for name, (r, alpha) in adapters.items()
    }
    return {"model.safetensors": tensors, "config.json": config}, right


def diffusers(metadata, rank=4, scale=4.0):
    draw, tensors, right = normal(34), {}, {}
    for number in range(2):
        module = f"transformer.transformer_blocks.{number}.attn.to_q"
        factors, product = lora(draw, module, 32, rank, 32)
        tensors |= factors
        right[module] = product * scale if scale else "states its scale"
    return {"pytorch_lora_weights.safetensors": tensors, "metadata": metadata}, right


@CASES.add
def diffusers_with_settings_in_the_header():
    """diffusers pull request 11324 and issue 6087."""
    stated = {"transformer.r": 4, "transformer.lora_alpha": 16, "transformer.use_rslora": False}
    return diffusers({"format": "pt", "lora_adapter_metadata": json.dumps(stated)})


@CASES.add
def diffusers_without_settings():
    return diffusers({"format": "pt"}, scale=1.0)


@CASES.add
def diffusers_of_several_ranks_without_settings():
    """Its own loader then gives a module the alpha of another."""
    files, right = diffusers({"format": "pt"}, scale=None)
    factors, _ = lora(normal(35), "transformer.transformer_blocks.0.attn.to_k", 32, 8, 32)
    files["pytorch_lora_weights.safetensors"] |= factors
    return files, right


@CASES.add
def kohya_with_alpha():
    draw, tensors, right = normal(36), {}, {}
    for number, alpha in ((0, 1), (1, 16)):
        module = f"lora_te_text_model_encoder_layers_{number}_mlp_fc1"
        factors, product = lora(draw, module, 24, 4, 16, ("lora_down.weight", "lora_up.weight"))
        # Some writers make it a whole number.
        tensors |= factors | {f"{module}.alpha": np.array(alpha, "<i8" if number else "<f4")}
        right[module] = product * (alpha / 4)
    return {"adapter.safetensors": tensors}, right


@CASES.add
def comfy_names_with_alpha():
    draw, module = normal(37), "diffusion_model.double_blocks.3.img_attn.proj"
    factors, product = lora(draw, module, 24, 4, 16)
    tensors = factors | {f"{module}.alpha": np.array(2, "<f4")}
    return {"adapter.safetensors": tensors}, {module: product / 2}


@CASES.add
def mlx_with_its_scale():
    """mlx-lm issue 1119 and pull request 1120."""
    draw, tensors, right = normal(38), {}, {}
    for number in range(2):
        module = f"model.layers.{number}.self_attn.q_proj"
        a, b = draw(32, 4), draw(4, 48)
        tensors |= {f"{module}.lora_a": a, f"{module}.lora_b": b}
        right[module] = (a.astype(float) @ b).T * 20
    config = {"fine_tune_type": "lora", "lora_parameters": {"rank": 4, "scale": 20.0}}
    return {"adapters.safetensors": tensors, "adapter_config.json": config}, right


@CASES.add
def mlx_without_a_config():
    files, right = mlx_with_its_scale()
    del files["adapter_config.json"]
    return files, dict.fromkeys(right, "adapter_config.json")


@CASES.add
def several_methods_in_one_module():
    """peft pull request 2939."""
    draw, module = normal(39), layer(0, "self_attn.q_proj")
    pieces = {"lokr_w1": (4, 4), "lokr_w2": (8, 8), "vera_lambda_b": (32,), "hra_u": (32, 4)}
    pieces |= {"boft_R": (1, 8, 4, 4), "boft_s": (32, 1)}
    tensors = {f"{module}.{word}": draw(*shape) for word, shape in pieces.items()}
    return peft(tensors, peft_type="LOKR"), {module: "BOFT and HRA and LoKr and VeRA"}
