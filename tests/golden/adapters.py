"""Make tests/data/adapters.npz: small adapters as each library writes and reads them.

    python tests/golden/adapters.py tests/data/adapters.npz peft diffusers lycoris mlx-lm

replaces the cases of the named libraries, each in the version that is installed; the tests need
none of them. Made with peft 0.21.2, diffusers 0.36.0, lycoris-lora 4.1.3, mlx-lm 0.32.2.

The file holds for each case the bytes of its files, `case/file`, and of each adapted module the
change of its weight by the library itself, `case:module`: a matrix [out, in, …], of a stack of
experts [experts, out, in] or [experts, in, out]. `cases` is JSON: library, version, names of files
and modules. Of methods whose change is not computed, `others` has the names and shapes alone.
"""

import json
import sys
import tempfile
import zlib
from importlib.metadata import version
from pathlib import Path

import numpy as np


class Collection:
    """Cases by name."""

    def __init__(self, path):
        self.path, self.arrays, self.cases, self.others = Path(path), {}, {}, {}
        if self.path.exists():
            with np.load(self.path) as data:
                self.cases = json.loads(data["cases"].tobytes())
                self.others = json.loads(data["others"].tobytes())
                self.arrays = {n: data[n] for n in data.files if n not in ("cases", "others")}

    def add(self, case, library, folder, changes):
        files = sorted(file.name for file in Path(folder).iterdir() if file.suffix != ".md")
        for name in files:
            self.arrays[f"{case}/{name}"] = np.fromfile(Path(folder) / name, np.uint8)
        for module, change in changes.items():
            self.arrays[f"{case}:{module}"] = np.asarray(change, np.float32)
        about = {"library": library, "version": version(library), "files": files}
        self.cases[case] = about | {"modules": sorted(changes)}

    def drop(self, library):
        gone = {case for case, about in self.cases.items() if about["library"] == library}
        self.cases = {case: about for case, about in self.cases.items() if case not in gone}
        self.arrays = {
            name: array
            for name, array in self.arrays.items()
            if name.replace(":", "/").partition("/")[0] not in gone
        }

    def save(self):
        texts = {
            name: np.frombuffer(json.dumps(entries, sort_keys=True).encode(), np.uint8)
            for name, entries in (("cases", self.cases), ("others", self.others))
        }
        np.savez_compressed(self.path, **texts, **self.arrays)


def seed(case):
    return zlib.crc32(case.encode())


def base_model():
    """Modules of every kind that adapters change."""
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    class Experts(nn.Module):
        def __init__(self, stored):
            super().__init__()
            import torch

            self.is_transposed = stored
            up, down = ((8, 12), (6, 8)) if stored else ((12, 8), (8, 6))
            self.gate_up_proj = nn.Parameter(torch.zeros(3, *up))
            self.down_proj = nn.Parameter(torch.zeros(3, *down))

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.self_attn = nn.ModuleDict({"q_proj": nn.Linear(8, 12), "c_attn": Conv1D(12, 8)})
            self.mlp = nn.ModuleDict(
                {
                    "down_proj": nn.Linear(16, 8),
                    "experts": Experts(False),
                    "swapped": nn.ModuleDict({"experts": Experts(True)}),
                }
            )

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed_tokens = nn.Embedding(11, 8)
            self.conv = nn.Conv2d(6, 8, 3)
            self.line = nn.Conv1d(6, 8, 3)
            self.layers = nn.ModuleList([Layer(), Layer()])
            self.lm_head = nn.Linear(8, 11)

        def prepare_inputs_for_generation(self):
            """PEFT looks it up and never calls it."""

    return Model()


def with_peft(config, case):
    import torch
    from peft import get_peft_model

    torch.manual_seed(seed(case))
    model = get_peft_model(base_model(), config)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def peft_changes(model):
    found = {}
    for name, layer in model.base_model.model.named_modules():
        if hasattr(layer, "get_delta_weight"):
            change = layer.get_delta_weight("default").detach()
            # Conv1D keeps [in, out].
            found[name] = change.T if name.endswith("c_attn") else change
    return found


def peft(out):
    import peft as library
    import torch

    q, down, conv = "q_proj", "down_proj", ["conv", "line"]
    ranks = {r"layers\.1\.mlp\..*": 3, "^conv": 4}
    alphas = {r"layers\.1\..*q_proj": 12, "q_proj": 5, r"down_pro.": 7}
    both = ["layers.0.mlp.experts.gate_up_proj", "layers.0.mlp.experts.down_proj"]
    swapped = ["swapped.experts.gate_up_proj", "swapped.experts.down_proj"]
    lora, loha, lokr = library.LoraConfig, library.LoHaConfig, library.LoKrConfig
    every = [q, down, "c_attn", "embed_tokens", *conv]
    linear = [q, down, *conv]
    cases = {
        "lora": lora(r=2, lora_alpha=3, target_modules=every, modules_to_save=["lm_head"]),
        "lora_patterns": lora(
            **{"r": 2, "lora_alpha": 3, "target_modules": [q, down, *conv]},
            **{"rank_pattern": ranks, "alpha_pattern": alphas},
        ),
        "lora_rs": lora(
            **{"r": 2, "lora_alpha": 3, "use_rslora": True, "target_modules": [q, down]},
            **{"rank_pattern": ranks, "alpha_pattern": alphas},
        ),
        "lora_experts": lora(
            **{"r": 2, "lora_alpha": 6, "target_modules": [], "target_parameters": both},
            use_rslora=True,
        ),
        "lora_experts_and_modules": lora(
            **{"r": 2, "lora_alpha": 6, "target_modules": [q], "rank_pattern": {q: 4}},
            **{"target_parameters": ["mlp.experts.down_proj"], "alpha_pattern": {"down_proj": 5}},
        ),
        "lora_swapped_experts": lora(
            **{"r": 2, "lora_alpha": 6, "target_modules": [], "target_parameters": swapped},
        ),
        "dora": lora(r=2, lora_alpha=3, use_dora=True, target_modules=[q, "conv"]),
        "loha": loha(r=2, alpha=3, target_modules=linear, rank_pattern={"down_proj": 3}),
        "loha_kernel": loha(r=2, alpha=3, target_modules=conv, use_effective_conv2d=True),
        "lokr": lokr(r=2, alpha=3, target_modules=linear, alpha_pattern={"down_proj": 5}),
        "lokr_both": lokr(
            r=1, alpha=3, target_modules=linear, decompose_both=True, decompose_factor=4
        ),
        # Its own product fails for a kernel of one dimension.
        "lokr_kernel": lokr(r=1, alpha=3, target_modules=["conv"], use_effective_conv2d=True),
    }
    for name, config in cases.items():
        case = f"peft_{name}"
        model = with_peft(config, case)
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model.save_pretrained(folder)
            out.add(case, "peft", folder, {} if name == "dora" else peft_changes(model))
    out.others = peft_others(library)


def peft_others(library):
    """Names and shapes of the parameters of methods whose change is not computed."""
    from safetensors import safe_open

    # Width and rank such that each method accepts the modules.
    both = {"target_modules": ["q_proj", "down_proj"]}
    square = {"target_modules": ["q_proj"]}
    configs = {
        "OFT": library.OFTConfig(oft_block_size=4, **both),
        "BOFT": library.BOFTConfig(boft_block_size=4, **both),
        "HRA": library.HRAConfig(r=2, **both),
        "VeRA": library.VeraConfig(r=2, **both),
        "RandLoRA": library.RandLoraConfig(r=2, **both),
        "FourierFT": library.FourierFTConfig(n_frequency=5, **both),
        "C3A": library.C3AConfig(block_size=4, **both),
        "RoAd": library.RoadConfig(group_size=4, **both),
        "MiSS": library.MissConfig(r=2, **both),
        "(IA)3": library.IA3Config(feedforward_modules=["down_proj"], **both),
        "VB-LoRA": library.VBLoRAConfig(
            **{"r": 2, "num_vectors": 4, "vector_length": 4, "topk": 2}, **both
        ),
        "AdaLoRA": library.AdaLoraConfig(target_r=2, init_r=2, total_step=10, **both),
        "SHiRA": library.ShiraConfig(r=2, **both),
        "WaveFT": library.WaveFTConfig(n_frequency=5, **square),
        "DeLoRA": library.DeloraConfig(r=2, **both),
        "GraLoRA": library.GraloraConfig(r=4, gralora_k=2, **both),
        "HiRA": library.HiraConfig(r=2, **both),
        "TinyLoRA": library.TinyLoraConfig(r=2, **both),
        "GLoRA": library.GloraConfig(r=2, **both),
        "Lily": library.LilyConfig(r=2, **both),
        "PSOFT": library.PsoftConfig(r=2, **both),
        "Uni-LoRA": library.UniLoraConfig(r=2, **both),
        "FRoD": library.FrodConfig(**both),
        "PVeRA": library.PveraConfig(r=2, **both),
    }
    found = {}
    for method, config in configs.items():
        with tempfile.TemporaryDirectory() as folder:
            with_peft(config, method).save_pretrained(folder)
            with safe_open(Path(folder) / "adapter_model.safetensors", "np") as stored:
                shapes = {name: stored.get_slice(name).get_shape() for name in stored.keys()}  # noqa: SIM118
        found[method] = {"peft_type": config.peft_type.value, "shapes": shapes}
    return found


def diffusers(out):
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.training_utils import _collate_lora_metadata
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    for name, config in {
        "plain": LoraConfig(r=3, lora_alpha=3, target_modules=["q_proj", "down_proj"]),
        "metadata": LoraConfig(
            **{"r": 2, "lora_alpha": 5, "target_modules": ["q_proj", "conv"]},
            **{"alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 7}, "use_rslora": True},
        ),
    }.items():
        case = f"diffusers_{name}"
        unet = with_peft(config, case)
        layers = {
            key.removeprefix("base_model.model."): value
            for key, value in get_peft_model_state_dict(unet).items()
        }
        more = {}
        if name == "metadata":
            more = _collate_lora_metadata({"unet": unet})
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            StableDiffusionPipeline.save_lora_weights(folder, unet_lora_layers=layers, **more)
            changes = {f"unet.{key}": value for key, value in peft_changes(unet).items()}
            out.add(case, "diffusers", folder, changes)


def lycoris(out):
    """Also kohya's own format, which LyCORIS extends: up, down and alpha of a flattened name."""
    import torch
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule
    from safetensors.torch import save_file
    from torch import nn

    names = {
        "linear": "lora_unet_down_blocks_0_attentions_1_transformer_blocks_0_attn1_to_q",
        "conv": "lora_unet_down_blocks_0_resnets_1_conv1",
    }
    for name, kind, options in (
        ("locon", LoConModule, {}),
        ("locon_tucker", LoConModule, {"use_tucker": True}),
        ("loha", LohaModule, {}),
        ("loha_tucker", LohaModule, {"use_tucker": True}),
        ("lokr", LokrModule, {"decompose_both": True, "factor": 4}),
        ("lokr_tucker", LokrModule, {"use_tucker": True, "factor": 2, "lora_dim": 1}),
        ("lokr_whole", LokrModule, {"lora_dim": 64}),
        ("lokr_full", LokrModule, {"full_matrix": True}),
    ):
        case = f"lycoris_{name}"
        torch.manual_seed(seed(case))
        tensors, changes = {}, {}
        for key, module_name in names.items():
            base = nn.Linear(8, 12) if key == "linear" else nn.Conv2d(6, 8, 3)
            module = kind(module_name, base, **{"lora_dim": 2, "alpha": 3} | options)
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.3)
            state = {k: v.detach().clone() for k, v in module.custom_state_dict().items()}
            state = {k: v for k, v in state.items() if v is not None}
            tensors |= {f"{module_name}.{k}": v.contiguous() for k, v in state.items()}
            with torch.no_grad():
                if kind is LoConModule:
                    change = module.make_weight() * module.scale
                else:
                    change = module.get_weight(module.shape)
                changes[module_name] = change.reshape(base.weight.shape).numpy()
        with tempfile.TemporaryDirectory() as folder:
            save_file(tensors, Path(folder) / "adapter.safetensors")
            out.add(case, "lycoris-lora", folder, changes)


def mlx_lm(out):
    import mlx.core as mx
    import mlx.nn as nn
    from mlx_lm.models.switch_layers import SwitchLinear
    from mlx_lm.tuner.dora import DoRALinear
    from mlx_lm.tuner.lora import LoRAEmbedding, LoRALinear, LoRASwitchLinear
    from mlx_lm.utils import save_config

    for name, start in (("lora", LoRALinear), ("dora", DoRALinear)):
        case = f"mlx_{name}"
        mx.random.seed(seed(case) % 2**31)
        layer = "model.layers.0."
        modules = {f"{layer}self_attn.q_proj": (start, nn.Linear(8, 12, bias=False))}
        if name == "lora":
            experts = SwitchLinear(8, 6, 3, bias=False)
            modules[f"{layer}mlp.switch_mlp.gate_proj"] = (LoRASwitchLinear, experts)
            modules["model.embed_tokens"] = (LoRAEmbedding, nn.Embedding(11, 8))
        tensors, changes = {}, {}
        for key, (kind, base) in modules.items():
            base.weight = (
                mx.random.normal(base.weight.shape)
                if name == "dora"
                else mx.zeros_like(base.weight)
            )
            module = kind.from_base(base, r=2, scale=7.5)
            module.lora_a = mx.random.normal(module.lora_a.shape) * 0.3
            module.lora_b = mx.random.normal(module.lora_b.shape) * 0.3
            parameters = ["lora_a", "lora_b", *(["m"] if name == "dora" else [])]
            tensors |= {f"{key}.{word}": module[word] for word in parameters}
            if name == "lora":
                changes[key] = np.array(module.fuse().weight)
        config = {
            **{"fine_tune_type": name, "num_layers": 1},
            "lora_parameters": {"rank": 2, "dropout": 0.0, "scale": 7.5},
        }
        with tempfile.TemporaryDirectory() as folder:
            mx.save_safetensors(str(Path(folder) / "adapters.safetensors"), tensors)
            save_config(config, Path(folder) / "adapter_config.json")
            out.add(case, "mlx-lm", folder, changes)


LIBRARIES = {
    "peft": ("peft", peft),
    "diffusers": ("diffusers", diffusers),
    "lycoris": ("lycoris-lora", lycoris),
    "mlx-lm": ("mlx-lm", mlx_lm),
}


if __name__ == "__main__":
    collection = Collection(sys.argv[1])
    for chosen in sys.argv[2:] or LIBRARIES:
        library, make = LIBRARIES[chosen]
        collection.drop(library)
        make(collection)
    collection.save()
