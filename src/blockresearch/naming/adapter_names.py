"""Names of the parameters that adapters add: the module in front, the parameter, the adapter.

PEFT writes `<module>.lora_A.<adapter>.weight`, mlx-lm `<module>.lora_a`, diffusers of 2023
`<module>.lora.up.weight`. kohya flattens the module: `lora_te_text_model_encoder_layers_0_mlp_fc1`.
`canonical` gives all of these one spelling.

Source: `adapter_layer_names` and `other_param_names` in peft 0.21.2's tuners; networks/lora.py of
kohya's sd-scripts; loaders/lora_conversion_utils.py of diffusers.
"""

import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

# The method by the words of its parameters; `*` stands for any text.
METHODS = {
    "LoRA": "lora_a lora_b lora_up lora_down lora_mid lora_embedding_a lora_embedding_b",
    "DoRA": "lora_magnitude_vector lora_dora_scale",
    "AdaLoRA": "lora_e ranknum",
    "LoHa": "hada_w1_a hada_w1_b hada_w2_a hada_w2_b hada_t1 hada_t2",
    "LoKr": "lokr_w1 lokr_w1_a lokr_w1_b lokr_w2 lokr_w2_a lokr_w2_b lokr_t2",
    "VeRA": "vera_lambda_b vera_lambda_d vera_a vera_b",
    "PVeRA": "pvera_lambda_b pvera_lambda_d pvera_a pvera_b",
    "MiSS": "miss_block bone_block",
    "HRA": "hra_u",
    "BOFT": "boft_r boft_s",
    "OFT": "oft_r oft_embedding_r oft_blocks oft_diag",
    "PSOFT": "psoft_*",
    "RoAd": "road_theta road_alpha",
    "FourierFT": "fourierft_spectrum",
    "WaveFT": "waveft_spectrum",
    "C3A": "c3a_kernel",
    "RandLoRA": "randlora_*",
    "(IA)3": "ia3_l*",
    "VB-LoRA": "vblora_*",
    "SHiRA": "shira_*",
    "GraLoRA": "gralora_*",
    "HiRA": "hira_*",
    "DeLoRA": "delora_*",
    "Poly": "poly_lora_a poly_lora_b poly_router",
    "TinyLoRA": "tinylora_*",
    "Uni-LoRA": "unilora_*",
    "AdaMSS": "adamss_*",
    "BEFT": "beft_bias",
    "DEFT": "deft_*",
    "FRoD": "frod_*",
    "GLoRA": "glora_*",
    "Lily": "lily_*",
    "PEANuT": "peanut_*",
    "supertuning": "supertuning_*",
    "KaSA": "lora_diag",
    "trainable tokens": "trainable_tokens_delta trainable_tokens_original",
    "layer norm tuning": "ln_tuning_layers",
    "prompt tuning": "prompt_embeddings*",
    "LoRA of an unknown kind": "lora_*",
}

# Parameters that belong to an adapter if their module has one of its parameters too.
BESIDE = {"alpha": "lora_alpha", "dora_scale": "lora_dora_scale", "m": "lora_magnitude_vector"}

_WORDS = [
    (method, re.compile("|".join(re.escape(w).replace(r"\*", "[^.]*") for w in words.split())))
    for method, words in METHODS.items()
]

_UP_AND_DOWN = re.compile(r"(?:\.lora(?:_linear_layer)?|_lora)\.(up|down)\.weight$")

_FLAT = re.compile(r"(?:lora|lycoris)_([a-z]+[0-9]*)_([a-z0-9_]{3,300})\.[^.]", re.IGNORECASE)

_FLAT_MODULE = re.compile(r"(?<![a-z])(self_attn|cross_attn|attention|attn[0-9]*|mlp|ff)_")


class Parameter(NamedTuple):
    """A parameter of an adapter; `word` is lower case, `adapter` empty if the name has none."""

    module: str
    word: str
    adapter: str


@lru_cache(4096)
def method_of(segment: str) -> str | None:
    """The method that a segment of a name belongs to, None if to none."""
    word = segment.lower()
    return next((method for method, words in _WORDS if words.fullmatch(word)), None)


def canonical(name: str) -> str:
    """The name with segments between dots and its parameter as one word."""
    name = _UP_AND_DOWN.sub(r".lora_\1.weight", name)
    flat = _FLAT.match(name)
    if flat is None:
        return name
    rest = name[flat.end(2) :]
    module = re.sub(r"_([0-9]{1,9})(?=_|$)", r".\1", flat[2])
    module = re.sub(r"(\.[0-9]{1,9})_", r"\1.", module)
    return _FLAT_MODULE.sub(r"\1.", module) + rest


def parameter(name: str) -> Parameter | None:
    """The parameter of an adapter that a name stands for, as stored; None for other names.

    `module` is the name as stored, up to the parameter.
    """
    spelled = _UP_AND_DOWN.sub(r".lora_\1.weight", name)
    segments = spelled.split(".")
    at = next((i for i, s in enumerate(segments) if i and method_of(s)), None)
    if at is None:
        return None
    rest = [s for s in segments[at + 1 :] if s != "weight"]
    return Parameter(".".join(segments[:at]), segments[at].lower(), ".".join(rest))


def beside(name: str, modules: Collection[str]) -> Parameter | None:
    """The same for a parameter whose word alone does not show it: `<module>.alpha`."""
    module, _, word = name.rpartition(".")
    return Parameter(module, BESIDE[word], "") if word in BESIDE and module in modules else None


def adapted_modules(names: Collection[str]) -> set[str]:
    """Modules that an adapter has parameters for."""
    return {found.module for name in names if (found := parameter(name))}
