"""Super weights that a publication found by running models, for comparison with those that weights
alone point to.

Source: SUPER_WEIGHTS_MAP in the code of Yu and others 2024, arXiv:2411.07191. Coordinates are
layer, row and column of down_proj, all from 0.
"""

from dataclasses import dataclass

Place = tuple[int, int, int]


@dataclass(frozen=True)
class Published:
    """The super weights of a model: its layers, the shape of down_proj, and coordinates."""

    layers: int
    rows: int
    cols: int
    places: tuple[Place, ...]


# Last part of a model's id -> its super weights.
SUPER_WEIGHTS = {
    "Mistral-7B-v0.1": Published(32, 4096, 14336, ((1, 2070, 7310),)),
    "llama-7B": Published(32, 4096, 11008, ((2, 3968, 7003),)),
    "llama-13B": Published(40, 5120, 13824, ((2, 2231, 2278), (2, 2231, 6939))),
    "Meta-Llama-3-8B": Published(
        32, 4096, 14336, ((1, 788, 2427), (1, 1384, 2427), (1, 4062, 2427))
    ),
    "OLMo-1B-0724-hf": Published(16, 2048, 8192, ((1, 1764, 1710), (2, 1764, 8041))),
    "Phi-3-mini-4k-instruct": Published(
        32, 3072, 8192, ((2, 525, 808), (2, 1693, 808), (2, 1113, 808))
    ),
}


def published_of(folder: str) -> tuple[str, Published] | None:
    """Name and super weights of the model whose results are in `folder`, such as
    `mistralai--Mistral-7B-v0.1@main`; None for a model without any."""
    name = folder.rpartition("--")[2].partition("@")[0]
    known = {each.lower(): each for each in SUPER_WEIGHTS}
    found = known.get(name.lower())
    return (found, SUPER_WEIGHTS[found]) if found else None
