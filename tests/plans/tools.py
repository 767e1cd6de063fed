"""What only the tools that execute plans can do, run by their Python: see `test_closed_loop`.

Prints one JSON value.
"""

import json
import sys
from pathlib import Path


def widen(source, target):
    """A copy of a checkpoint in float32: BF16 has less precision than the formats."""
    from safetensors.torch import load_file, save_file

    Path(target).mkdir()
    for path in Path(source).iterdir():
        if path.suffix == ".safetensors":
            tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
            save_file(tensors, Path(target, path.name))
        elif path.suffix == ".json":
            Path(target, path.name).write_bytes(path.read_bytes())


def quantize(source, config, target):
    """Run `model_free_ptq`; the bytes of all tensors that it wrote."""
    from compressed_tensors.quantization import QuantizationConfig
    from llmcompressor import model_free_ptq
    from safetensors import safe_open

    found = QuantizationConfig.model_validate_json(Path(config).read_text())
    model_free_ptq(source, target, config=found, device="cpu")
    total = 0
    for path in Path(target).glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
            total += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return total


def recipe(path):
    """Targets by group of a recipe, as llm-compressor reads it."""
    from llmcompressor.recipe import Recipe

    (modifier,) = Recipe.create_instance(path).modifiers
    return {name: list(group.targets) for name, group in modifier.config_groups.items()}


def pruning(path):
    """Modifier and ratios of a recipe, as llm-compressor reads it."""
    from llmcompressor.recipe import Recipe

    (modifier,) = Recipe.create_instance(path).modifiers
    return [type(modifier).__name__, list(modifier.sparsity)]


def prune_experts(source, settings, target):
    """Drop experts with compressed-tensors; the bytes of all tensors, and names that transformers
    misses or does not expect in the result."""
    from compressed_tensors.entrypoints.convert import MagnitudeExpertPruner, convert_checkpoint
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    pruner = MagnitudeExpertPruner(**json.loads(Path(settings).read_text()))
    convert_checkpoint(source, target, pruner, device="cpu")
    total = sum(
        tensor.numel() * tensor.element_size()
        for path in Path(target).glob("*.safetensors")
        for tensor in load_file(path).values()
    )
    _, found = AutoModelForCausalLM.from_pretrained(target, output_loading_info=True)
    wrong = [*found["missing_keys"], *found["unexpected_keys"], *found["mismatched_keys"]]
    return [total, sorted(map(str, wrong))]


def kappa_targets(folder):
    """What PEFT selects in the model of a folder."""
    import torch
    from peft import find_kappa_target_modules
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return find_kappa_target_modules(model, show_progress=False)["target_modules"]


def trainable(folder, config):
    """Modules with an adapter when PEFT takes the targets of a file."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    adapted = get_peft_model(model, LoraConfig(r=2, **json.loads(Path(config).read_text())))
    return sorted(
        name.removeprefix("base_model.model.").removesuffix(".lora_A.default")
        for name, _ in adapted.named_modules()
        if name.endswith(".lora_A.default")
    )


def merged(folder, adapter, target):
    """Merge an adapter into the model of a folder in float32; the number of its modules."""
    import torch
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(model, adapter)
    count = sum(isinstance(module, LoraLayer) for module in adapted.modules())
    adapted.merge_and_unload().save_pretrained(target)
    return count


def mergekit(path, target):
    """Execute a configuration of mergekit; its method."""
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    config = MergeConfiguration.model_validate_json(Path(path).read_text())
    run_merge(config, target, MergeOptions(copy_tokenizer=False, write_model_card=False))
    return config.merge_method


def auto_round_types(folder, config):
    """Settings by module of the model of a folder, as AutoRound resolves a `layer_config`."""
    import torch
    from auto_round.compressors.utils import set_layer_config
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder)
    chosen = json.loads(Path(config).read_text())
    linear = (torch.nn.Linear,)
    # What no key names would have 2 bits.
    found, *_ = set_layer_config(model, chosen, "W2A16", torch.float16, linear, ())
    keys = ("bits", "group_size", "sym", "data_type")
    return {name: {key: setting[key] for key in keys} for name, setting in found.items()}


def unfrozen(folder, parameters):
    """Modules of a model that axolotl trains: by a YAML file of `unfrozen_parameters`, or by
    a JSON file of ratios, of which its Spectrum plugin takes half."""
    import yaml
    from axolotl.integrations.spectrum import _generate_unfrozen_params_yaml
    from axolotl.utils.freeze import freeze_layers_except
    from transformers import AutoModelForCausalLM

    known = yaml.safe_load(Path(parameters).read_text())
    names = known.get("unfrozen_parameters") or _generate_unfrozen_params_yaml(known, 0.5)
    model = AutoModelForCausalLM.from_pretrained(folder)
    freeze_layers_except(model, names)
    return sorted(
        name.removesuffix(".weight")
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    )


def torchao_types(path):
    """Names of the settings by pattern, as torchao reads them."""
    from torchao.core.config import config_from_dict

    config = config_from_dict(json.loads(Path(path).read_text()))
    return {name: type(value).__name__ for name, value in config.fqn_to_config.items()}


def gguf_names(layers, *modules):
    """Names in GGUF, as gguf maps them for Qwen3."""
    import gguf

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, int(layers))
    return {module: names.get_name(module) for module in modules}


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps(globals()[name](*arguments)))
