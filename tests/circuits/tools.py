"""What other libraries find in a model, run by their Python.

Prints one JSON value.
"""

import json
import sys

SEQUENCES, LENGTH, SEED = 20, 64, 0

# Frequent words are merged early, so tokens of these numbers are ordinary ones.
FIRST, LAST = 1_000, 20_000

# Tokens at an end of a direction.
ENDS = 10


def repeated_tokens(folder):
    """Scores of each head, [layer][head], on random tokens that are repeated once.

    previous    mean attention to the position before
    induction   mean attention of the repetition to the position after the same token
    duplicate   mean attention of the repetition to the same token
    first       mean attention to the first position
    copies      what the head writes if it attends to a token, as the logit of that token among the
                tokens of the sequence, in standard deviations; mean over tokens
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    layers, heads = model.config.num_hidden_layers, model.config.num_attention_heads
    shared = heads // model.config.num_key_value_heads
    values = {}
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.v_proj.register_forward_hook(
            lambda _, __, out, number=number: values.__setitem__(number, out)
        )
    unembed = model.lm_head.weight * model.model.norm.weight
    names = ("previous", "induction", "duplicate", "first", "copies")
    found = {name: torch.zeros(layers, heads) for name in names}
    for both in sequences():
        tokens = both[:LENGTH]
        with torch.no_grad():
            seen = model(both[None], output_attentions=True).attentions
            for number, layer in enumerate(model.model.layers):
                attention = seen[number][0]
                later = attention[:, LENGTH:]
                out = layer.self_attn.o_proj.weight.unflatten(1, (heads, -1))
                value = values[number][0, :LENGTH].unflatten(1, (heads // shared, -1))
                value = value.repeat_interleave(shared, 1)
                logits = torch.einsum("td,dhs,ihs->hit", unembed[tokens], out, value)
                logits = (logits - logits.mean(2, keepdim=True)) / logits.std(2, keepdim=True)
                for name, each in {
                    "previous": attention.diagonal(-1, 1, 2),
                    "induction": later.diagonal(1, 1, 2),
                    "duplicate": later.diagonal(0, 1, 2),
                    "first": attention[:, 1:, 0],
                    "copies": logits.diagonal(0, 1, 2),
                }.items():
                    found[name][number] += each.mean(1) / SEQUENCES
    return {name: score.tolist() for name, score in found.items()}


def written_by_mlps(folder):
    """The largest size [layer][channel] of what the MLP of each layer adds, over all positions of
    the sequences of `repeated_tokens`."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = torch.zeros(model.config.num_hidden_layers, model.config.hidden_size)

    def note(number):
        def hook(_, __, out):
            found[number] = torch.maximum(found[number], out[0].abs().amax(0))

        return hook

    for number, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_hook(note(number))
    with torch.no_grad():
        for tokens in sequences():
            model(tokens[None])
    return found.tolist()


def sequences():
    """Sequences of random tokens that are repeated once, int64 [2 * LENGTH]."""
    import torch

    random = torch.Generator().manual_seed(SEED)
    for _ in range(SEQUENCES):
        tokens = FIRST + torch.randperm(LAST - FIRST, generator=random)[:LENGTH]
        yield torch.cat([tokens, tokens])


def transformer_lens(folder, edges):
    """Numbers of heads, `edges` of the graph and tokens along directions, by TransformerLens.

    `edges` is a JSON list of [part, layer, head, later layer, head]. Singular values and
    eigenvalues are [layer][head][...], eigenvalues as pairs of real and imaginary part; tokens of
    directions are pairs of the highest and the lowest: OV [layer][head][direction], and down_proj
    [layer][direction].
    """
    import torch
    from transformer_lens import FactoredMatrix, SVDInterpreter
    from transformer_lens.model_bridge import TransformerBridge
    from transformer_lens.utilities import composition_scores

    model = TransformerBridge.boot_transformers(folder, dtype=torch.float32)
    # This folds norms into the matrices that read their output, and centers the output layer.
    model.enable_compatibility_mode(disable_warnings=True)
    layers, heads = model.cfg.n_layers, model.cfg.n_heads

    def weights(name, norm=None):
        """[layers, heads, d, size], key-value heads repeated, with the scale of a norm of heads."""
        found = getattr(model, name).double()
        found = found.repeat_interleave(heads // found.shape[1], 1)
        norms = [getattr(block.attn, norm, None) for block in model.blocks] if norm else [None]
        if norms[0] is None:
            return found
        return found * torch.stack([each.weight for each in norms]).double()[:, None, None]

    ov = FactoredMatrix(weights("W_V"), weights("W_O"))
    qk = FactoredMatrix(weights("W_Q", "q_norm"), weights("W_K", "k_norm").mT)

    def composed(part, layer, head, later, other):
        right = ov[later, other] if part == "value" else qk[later, other].T
        return composition_scores(ov[layer, head], right).item()

    def ends(kind, layer, directions, head=None):
        scores = SVDInterpreter(model).get_singular_vectors(kind, layer, directions, head)[:, 0]
        order = scores.argsort(0)
        return [[order[-ENDS:, n].tolist(), order[:ENDS, n].tolist()] for n in range(directions)]

    with torch.no_grad():
        return {
            "ov": ov.S.tolist(),
            "qk": qk.S.tolist(),
            "eigenvalues": torch.view_as_real(ov.eigenvalues).tolist(),
            "composition": [composed(*edge) for edge in json.loads(edges)],
            "write": [[ends("OV", n, 2, head) for head in range(heads)] for n in range(layers)],
            "down": [ends("w_out", n, 8) for n in range(layers)],
        }


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps(globals()[name](*arguments)))
