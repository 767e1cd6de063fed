"""What only a model that runs can show, by the Python of the tools: see `test_behavior`.

Prints one JSON value.
"""

import json
import sys

SEQUENCES, LENGTH, SEED = 20, 64, 0

# Frequent words are merged early, so tokens of these numbers are ordinary ones.
FIRST, LAST = 1_000, 20_000


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
    random = torch.Generator().manual_seed(SEED)
    names = ("previous", "induction", "duplicate", "first", "copies")
    found = {name: torch.zeros(layers, heads) for name in names}
    for _ in range(SEQUENCES):
        tokens = FIRST + torch.randperm(LAST - FIRST, generator=random)[:LENGTH]
        with torch.no_grad():
            seen = model(torch.cat([tokens, tokens])[None], output_attentions=True).attentions
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


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print(json.dumps(globals()[name](*arguments)))
