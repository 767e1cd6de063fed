"""The engines by name, in the order of the manual."""

from blockresearch.plans.engines import (
    auto_round,
    compressed_tensors,
    gptqmodel,
    llama_cpp,
    torchao,
)

ENGINES = {
    module.ENGINE.name: module.ENGINE
    for module in (compressed_tensors, gptqmodel, llama_cpp, auto_round, torchao)
}
