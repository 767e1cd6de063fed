"""What the parts of parameter names mean: the tables that `template` and `roles` read.

A name is cut at its dots: `model.layers.3.self_attn.q_proj.weight` has the segments `model`,
`layers`, `3`, `self_attn`, `q_proj`, `weight`. Patterns are lower-case words separated by blanks;
`*` stands for any text inside one segment, `?` for one character, and a dot joins segments that
follow each other.

To support a new name, add a word to a row, or a row with its example. In each table the first row
that matches wins.
"""

import re
from typing import NamedTuple


class Component(NamedTuple):
    """Part of the model that one segment anywhere in the name indicates."""

    name: str
    words: str
    example: str


COMPONENTS = (
    Component("mtp", "mtp mtp_* eh_proj enorm hnorm shared_head", "mtp.layers.0.norm.weight"),
    Component("projector", "projector *m_projector *modal*_projector *aligner", "aligner.0.bias"),
    Component("projector", "vi*_projector image_projector *connector*", "connector.norm.weight"),
    Component("projector", "*merger *merger_list *resampler", "visual.merger.mlp.0.weight"),
    Component("projector", "*qformer *abstractor perceive", "qformer.layernorm.weight"),
    Component("projector", "mlp1 mlp_ar patch_merge_mlp *language_adapter", "mlp1.1.weight"),
    Component("projector", "embed_vision embed_audio query_tokens", "embed_vision.norm.weight"),
    Component("projector", "*modality_projection language_proj*", "language_projection.weight"),
    Component("projector", "visual_proj* vision_proj* image_proj*", "visual_projection.weight"),
    Component("vision", "vision* *_vision *_vision_* visual*", "visual.blocks.0.norm1.weight"),
    Component("vision", "image_* *_image img_* *_img pixel_* video_*", "model.image_newline"),
    Component("vision", "vit vit_* *_vit vpm vqmodel sam_*", "vit.layers.0.mlp.fc1.weight"),
    Component("audio", "audio* *_audio *_audio_* speech_* *_speech", "audio_tower.conv1.weight"),
    Component("audio", "acoustic_* semantic_tokenizer* codec_* apm", "codec_model.conv.weight"),
    Component("audio", "talker tts *2wav vocoder t2u_* depth_decoder", "talker.model.norm.weight"),
)

# The segment before a layer's number.
LAYER_CONTAINERS = (
    "h *layers *layer *blocks *block *stages *stage *attends *attentions *ffns *layer_groups"
    " *encoders *decoders mtp mtp_*"
)

# A list of one kind of module, an entry for each layer: `layer_norm1.0.weight`.
LAYER_LISTS = "layer_norm*"

NOT_LAYERS = "*embed* *head*"

# Names of a parameter inside its module. They do not indicate the block.
LEAVES = {"weight", "bias", "weights", "gamma", "beta", "scale", "kernel"}

LEAVES |= {"weight_g", "weight_v", "weight_orig", "original", "original0", "original1"}

# Wrappers around a module that leave its role as it is.
WRAPPERS = {"base_layer", "modules_to_save", "original_module", "parametrizations"}

WRAPPERS |= {"token_adapter"}

# How quantization names what it stores instead of `<module>.weight` or of a bare parameter: codes.
QUANTIZED_CODES = "qweight packed blocks compressed qdata"

# What it stores beside them. These words stand for nothing else.
COMPANIONS = (
    "scale_inv scale_2 scale_packed global_scale zero_points? qzeros g_idx absmax quant_map"
    " nested_absmax nested_quant_map quant_state\\..* bitsandbytes__.* SCB bitmask row_offsets"
    " qscale_weight qscale_act scale_weight scale_input activation_scale activation_scale_inv"
    " weights_scaling_factor activation_scaling_factor"
    " comfy_quant input_scale input_scale_2 input_scale_inv input_scale_ub input_global_scale"
    " input_zero_point pre_quant_scale kv_scale"
    " output_scale output_global_scale [kvq]_scale [kv]_zero_point"
)

# These do so behind the word weight; elsewhere only beside codes.
COMPANIONS_OF_CODES = "scale scales zeros shape format biases"


def _suffix(words: str) -> str:
    return f"(?:{'|'.join(words.split())})$"


# `.weight_scale`, `.weight.absmax`, `._weight_scale`, `.input_scale`; `_weight_scale`, `_scale_inv`
# behind a bare parameter.
_OF_WEIGHT = r"(?:\.weight[._]|\._weight_|[._]weight_)"

COMPANION = re.compile(
    rf"{_OF_WEIGHT}{_suffix(f'{COMPANIONS} {COMPANIONS_OF_CODES}')}|[._]{_suffix(COMPANIONS)}"
)

COMPANION_OF_CODES = re.compile(rf"[._]{_suffix(COMPANIONS_OF_CODES)}")

# Cut off to find the module of a stored tensor.
QUANTIZATION = re.compile(
    rf"{COMPANION.pattern}|(?:{_OF_WEIGHT}|[._]){_suffix(QUANTIZED_CODES)}"
    rf"|[._]{_suffix('scales zeros biases')}"
    r"|\.(?:weight_(?:integer|scaling_factor)|bias_integer|fc_scaling_factor)$"
)

# Words in front of the name of an attention matrix, by a segment anywhere in its name.
CONTEXTS = (
    ("*cross* *encdec* encoder_attn encoder_decoder* encoder_attention", "cross_attention"),
    ("indexer", "indexer"),
    ("compressor", "compressor"),
)

# The nearest segment of these above a module decides what an ambiguous word (`dense`) means.
ZONES = {
    "shared": "shared_expert shared_experts share_expert shared_mlp",
    "expert": "*experts expert_* switch_mlp switch_glu",
    "router": "*router* gate",
    "hyper": "hc_* *_hc *hyper_connection*",
    "ssm": "*mamba* mixer *ssm linear_attn *lstm* *deltanet* rg_lru temporal_block *forget_gate"
    " time_mixing",
    "mlp": "mlp* *_mlp *ffn ffn* ff ff1 ff2 *feed_forward* *feedforward* densereludense moe *_moe"
    " moe_block pos_ff",
    "attention": "*attn* *attention* *att *attends",
    "conv": "conv short_conv shortconv",
    "head": "*lm_head cls *predictions head",
    "projector": " ".join(row.words for row in COMPONENTS if row.name == "projector"),
}


class Block(NamedTuple):
    """How the path of a module (or of a bare parameter) ends, and the block it belongs to.

    With `^` a word is the whole path, counted from the module that holds the layers: it never
    matches inside a layer. `zones` are the ZONES in which the row applies (none = everywhere).
    In `projection` a `*` stands for the module's name.
    """

    block_type: str
    projection: str
    zones: frozenset[str]
    words: str
    example: str


def _blocks(table: str) -> tuple[Block, ...]:
    """Rows `words : example` below headings `block_type | projection [| zones]`."""
    rows = []
    heading: list[str] = []
    for line in table.strip().splitlines():
        if line.startswith(" "):
            words, example = line.split(" : ")
            zones = frozenset(heading[2].split()) if len(heading) > 2 else frozenset()
            rows.append(Block(heading[0], heading[1], zones, words.strip(), example.strip()))
        else:
            heading = [cell.strip() for cell in line.split("|")]
    return tuple(rows)


BLOCKS = _blocks("""
norm | *
    *norm *norm? *norm_* norm* *layrnorm* : layers.0.input_layernorm.weight
    *ln ln? ln_* *_ln_* *_ln? rms *_rms bn bn? gn : h.0.ln_1.weight
position_embedding | *
    *position_* *positions_* *position *position? : model.embed_positions.weight
    *positional_* *positional_*.embedding *positional_*.gate : positional_embedding
    wpe pos_emb* *_pos_emb rel_pos* relative_pos* *tile_embedding : wpe.weight
    *relative_attention_bias *inv_freq rel_embeddings : relative_attention_bias.weight
    rel_logits_proj rel_logits_proj.proj pos_proj pos_*_proj : attn.rel_logits_proj.proj
    rel_attn.r *attn.r_proj *attn.wr_* r_net r_kernel r_r_bias r_s_bias r_w_bias : h.0.attn.r_proj
    ape *_ape row_embedder column_embedder : attn.compressor.ape
    relative_k_proj linear_pos bias_u bias_v pos_bias_? : self_attn.relative_k_proj.weight
    pos_enc slopes : position_embedding.pos_enc
    *position_*.weights : reformer.embeddings.position_embeddings.weights.0
    *token_type_* task_type_* *segment_embed* seg_embed : embeddings.token_type_embeddings.weight
moe | down_proj
    down_embed : layers.0.mlp.down_embed.weight
moe | up_proj
    up_embed : layers.0.mlp.up_embed.weight
moe | q_proj
    *attention.experts.input_linear : self_attention.experts.input_linear.weight
moe | o_proj
    *attention.experts.output_linear : self_attention.experts.output_linear.weight
moe | *
    shared_expert_gate : layers.0.mlp.shared_expert_gate.weight
router | * | router
    * : decoder.block.1.layer.2.mlp.router.classifier.weight
router | * | mlp ssm expert
    gate wg switch moe_statics : layers.0.mlp.gate.weight
router | *
    *router* *layers.gate *e_score_correction_bias expert_bias balancing_bias* : mlp.expert_bias
output | transform | head
    dense transform.dense linear? head.dense : cls.predictions.transform.dense.weight
output | transform
    vocab_transform ^head.dense : vocab_transform.weight
output | lm_head
    *lm_head *lm_heads *lm_head.decoder lm_head.out_proj lm_head.linear : lm_head.weight
    *predictions *predictions.decoder head.decoder mlm_*.decoder : predictions.decoder.weight
    embed_out unembed* output_layer lm_loss pred_layer.proj vocab_projector : embed_out.weight
    shared_head.head *logits_dense embedding_decoder : layers.61.shared_head.head.weight
    log_softmax.mlp.layer? : log_softmax.mlp.layer0.weight
    ^output ^head ^decoder ^proj_out ^output_projection ^ff_out : output.weight
output | classifier
    ^score ^classifier ^cls ^qa_outputs ^classification_head : score.weight
    ^classifier.* ^classification_head.* cls.seq_relationship : classifier.out_proj.weight
embedding | embed_tokens
    embed_tokens word_embed word_embedding word_embeddings wte : model.embed_tokens.weight
    tok_embeddings token_embed token_embedding token_embeddings : model.tok_embeddings.weight
    tokens_embed embed_in embed_text_tokens : transformer.tokens_embed.weight
    input_embedding input_embeddings input_embeds_layer : cpmant.input_embedding.weight
    input_embeds_layers : fine_acoustics.input_embeds_layers.0.weight
    ^embed ^embedding ^embeddings ^shared ^w ^embeddings.embed : shared.weight
    input_preprocessor.embeddings : perceiver.input_preprocessor.embeddings.weight
    wte.embedding wte.new_embedding ^emb in_out_embed : model.transformer.wte.embedding
conv | *
    conv* *conv *conv? *conv?d *_conv_* *sconv.* *conv*.*wise : layers.0.mixer.conv1d.weight
    patch_embed* patch_embed*.proj* *patch_proj* : visual.patch_embed.proj.weight
    patch_generator.*embedder : model.patch_generator.video_embedder.weight
conv | * | conv
    * : layers.0.conv.in_proj.weight
ssm | *
    a_log dt_bias dt_proj x_proj in_proj_qkvz in_proj_ba in_proj_? : layers.0.mixer.A_log
    f_proj b_proj f_a_proj f_b_proj self_attn.a : layers.0.self_attn.f_a_proj.weight
    time_decay* time_first time_mix* time_maa* time_faaaa : blocks.0.attention.time_decay
ssm | * | attention
    x_? w0 w1 w2 a0 a1 a2 v0 v1 v2 g1 g2 k_k k_a r_k ?_lora.lora : blocks.0.att.w1
ssm | * | ssm
    in_proj out_proj in_proj_qkv d linear_x linear_y linear_out : layers.0.mixer.in_proj.weight
    key value receptance output : blocks.0.time_mixing.receptance.weight
qkv_proj | qkv_proj
    qkv wqkv qkv_proj query_key_value c_attn w_pack gqkv_proj : h.0.attn.c_attn.weight
    in_proj_qkv qkv_net att_proj w_qkv *_query_key_value : layers.0.dec_attn.qkv_net.weight
qkv_proj | qkv_proj | attention
    in_proj : vision_model.head.attention.in_proj_weight
qkv_proj | *
    kv_proj kv_a_proj* kv_b_proj wkv wkv_* to_kv kv *qk_proj query_key : self_attn.kv_b_proj.weight
up_proj | up_proj | mlp
    key : blocks.0.ffn.key.weight
down_proj | down_proj | mlp
    value : blocks.0.ffn.value.weight
q_proj | q_proj
    q_proj q_proj.linear q query wq q_lin q_head query_proj : layers.0.self_attn.q_proj.weight
    query_layer project_q linear_q to_q query_global ?2?_query : self_attention.project_q.weight
    query_net layout_query : first_sub_layer.query_net.weight
k_proj | k_proj
    k_proj k_proj.linear k key wk k_lin k_head key_proj : layers.0.self_attn.k_proj.weight
    key_layer project_k linear_k to_k key_global : self_attention.project_k.weight
    key_net layout_key key_protein : first_sub_layer.key_net.weight
v_proj | v_proj
    v_proj v_proj.linear v value wv v_lin v_head value_proj : layers.0.self_attn.v_proj.weight
    value_layer project_v linear_v to_v value_global : self_attention.project_v.weight
    value_net layout_value value_protein : first_sub_layer.value_net.weight
o_proj | o_proj
    o_proj o_proj.linear out_lin to_out attention_out attn_out o_net post_proj : attn.o_proj.weight
q_proj | *
    q_a_proj q_b_proj wq_* q_proj_* linear_q_* : layers.0.self_attn.q_a_proj.weight
k_proj | *
    k_b_proj wk_* k_proj_* linear_k_* k_scale : layers.0.attn.wk_dv.weight
v_proj | *
    v_b_proj wv_* v_proj_* linear_v_* v_scale : layers.0.attn.wv_dv.weight
o_proj | *
    o_a_proj o_b_proj wo_* : layers.0.attn.wo_a.weight
mlp | *
    bottleneck.*.dense bottleneck.dense : encoder.layer.0.bottleneck.attention.dense.weight
o_proj | o_proj | attention
    output.dense dense o wo out output out_proj : layer.0.attention.output.dense.weight
    output_proj proj projection c_proj linear_out *_expert_dense : h.0.attn.c_proj.weight
gate_proj | attention * | attention
    *gate gate_* *_gate_* : layers.0.self_attn.gate_proj.weight
gate_proj | attention *
    g_proj g_a_proj g_b_proj wgate : layers.0.attention.g_proj.weight
bias | *
    *sinks *sink *sink_bias *sink_param softmax_offset : layers.0.self_attn.sinks
    final_logits_bias logit_bias : final_logits_bias
gate_up_proj | gate_up_proj
    gate_up_proj up_gate_proj w13 gate_and_up_proj gated_layers : layers.0.mlp.gate_up_proj.weight
    w12 weights_in w13_dn shared_w13 : encoder.layer.0.mlp.weights_in.weight
gate_up_proj | *
    gate_up_proj_* : layers.6.feed_forward.gate_up_proj_adapter_list.0.0.weight
gate_up_proj | gate_up_proj | mlp expert shared
    input_linear : layers.0.block_sparse_moe.input_linear.weight
gate_proj | gate_proj
    gate_proj wi_0 fc12 w1 w_0 c_fc_0 linear_gate proj_up_gate : layers.0.mlp.gate_proj.weight
up_proj | up_proj
    up_proj w3 v1 wi wi_1 w_1 fc1 fc11 c_fc fc_in lin1 linear_fc1 : layers.0.mlp.up_proj.weight
    dense_h_to_4h dense1 proj_up intermediate intermediate_dense : layers.0.mlp.dense_h_to_4h.weight
    intermediate.dense intermediate_query.dense dense.dense : layer.0.intermediate.dense.weight
    ff_proj c_fc_1 : transformer.blocks.0.ff_proj.weight
down_proj | down_proj
    down_proj w2 w_out fc2 fc_out lin2 linear_fc2 ffn_output : layers.0.mlp.down_proj.weight
    dense_4h_to_h dense2 proj_down output_dense ff_out : layers.0.mlp.dense_4h_to_h.weight
    weights_out w2_md shared_w2 : encoder.layer.0.mlp.weights_out.weight
up_proj | up_proj | mlp
    linear1 linear_1 layer_1 in_proj : transformer.layer.0.ff.layer_1.weight
down_proj | down_proj | mlp
    linear2 linear_2 layer_2 proj out_proj : transformer.layer.0.ff.layer_2.weight
down_proj | down_proj | mlp expert
    c_proj wo output dense output.dense : h.0.mlp.c_proj.weight
down_proj | down_proj | mlp expert shared
    output_linear : layers.0.block_sparse_moe.output_linear.weight
down_proj | down_proj
    output.dense output_query.dense : encoder.layer.0.output.dense.weight
o_proj | o_proj
    wo : vision_tower.encoder.blocks.0.wo.weight
""")

# Read only if no row above matches.
FALLBACKS = _blocks("""
other | *
    class_embedding cls_token *_token *token.token mask_emb : embeddings.cls_token
    codebook.* *_hc hc_*_base hc_*_scale : layers.0.hc_attn_base
other | layer_scale
    ls_? layer_scal* *_layer_scale *.lambda? lambda_? *gamma : resblocks.0.ls_1.gamma
mlp | *
    *embedding*projection *embedding*transformation *embedding*mapping* : embedding_projection.bias
    hc_*_fn : layers.0.hc_attn_fn
embedding | *
    *embed *embed_* *embedding *embeddings *embedding_* emb_* : model.embed_tokens_per_layer.weight
mlp | * | hyper
    hc_fn hc_head_fn fn *_weight *_weight_* : hyper_connection_mixer.input_mix_weight_up.weight
other | * | hyper
    * : layers.0.hc_pre.hc_attn_layer.hc_base
ssm | * | ssm
    * : layers.0.temporal_block.rg_lru.recurrent_gate_weight
mlp | * | mlp shared projector
    * : multi_modal_projector.linear_1.weight
output | *
    *lm_head.* *_head : lm_head.additional_fc.weight
output | classifier
    classifier : mask_predictions.classifier.weight
moe | *
    *experts : layers.0.self_attention.experts.bias
mlp | *
    mlp* ffn* fc fc? pooler proj proj_in proj_out in_proj input_proj output_proj : pooler.weight
    *linear* *dense* *projection* *projector* *merger* out out_* : pooler.dense.weight
    weights_proj per_layer_input_gate *inputs_layer : layers.0.self_attn.indexer.weights_proj.weight
    eh_proj project_in project_out : layers.61.eh_proj.weight
    *_project *_mlp_in *_mlp_out *transform ff : electra.embeddings_project.weight
other | * | attention
    *_proj : layers.0.self_attn.some_proj.weight
mlp | *
    *_proj : enc_to_dec_proj.weight
""")


class Buffer(NamedTuple):
    """A stored tensor that training does not learn, by the last segment of its name."""

    words: str
    ndim: int | None  # None = any number of dimensions
    example: str


BUFFERS = (
    Buffer("*inv_freq cos_cached sin_cached *embed_scale mup_vector", None, "rotary_emb.inv_freq"),
    Buffer("masked_bias *causal_mask *attn_mask *attention_mask", None, "h.0.attn.masked_bias"),
    Buffer("bias", 4, "h.0.attn.bias"),
    Buffer("*position_ids *token_type_ids *_idxs *_offsets tid2eid", None, "x.position_ids"),
    Buffer("relative_position_index relative_coords_table", None, "attn.relative_position_index"),
    Buffer("num_batches_tracked running_mean running_var", None, "bn1.running_mean"),
    Buffer("version kernel_size stride padding_total", None, "encoder.version"),
    Buffer("slope_rate key_decay query_decay diagonal_decay", None, "self_attn.slope_rate"),
    Buffer("x_min x_max *_scaling_factor *_integer", None, "output_activation.x_min"),
    Buffer("cluster_usage cluster_size embed_sum embed_avg", None, "codebook.embed_avg"),
    Buffer("initialized inited", None, "codebook.inited"),
    Buffer("scaled_fp8", None, "scaled_fp8"),
    # Masks of torch's pruning, a vector of its spectral norm.
    Buffer("weight_mask bias_mask weight_u", None, "fc1.weight_mask"),
)


class Dialect(NamedTuple):
    """Words of one module that mean something else because of its other words."""

    present: str
    absent: str
    reading: dict[str, str]


DIALECTS = (
    # RWKV's time mixing has no softmax attention, its channel mixing is an MLP.
    Dialect(
        "key value receptance output",
        "",
        {word: f"time_mixing.{word}" for word in ("key", "value", "receptance", "output")},
    ),
    Dialect(
        "key value receptance",
        "output",
        {"key": "up_proj", "value": "down_proj", "receptance": "gate_proj"},
    ),
    # c_proj(w1(x) * silu(w2(x)))
    Dialect("w1 w2 c_proj", "", {"w1": "up_proj", "w2": "gate_proj"}),
    Dialect("w1 w2", "w3 v1", {"w1": "up_proj"}),
    Dialect("w12 w3", "", {"w3": "down_proj"}),
    # x1 * silu(x2) of c_fc and c_fc2
    Dialect("c_fc c_fc2", "", {"c_fc2": "gate_proj"}),
    Dialect("fc0 fc1", "fc2", {"fc0": "up_proj", "fc1": "down_proj"}),
    Dialect("ffn ffn_output", "", {"ffn": "up_proj"}),
    Dialect("ff_proj up_proj", "", {"ff_proj": "gate_proj"}),
    Dialect(
        "linear linear_v linear_1",
        "",
        {"linear": "gate_proj", "linear_v": "up_proj", "linear_1": "down_proj"},
    ),
    Dialect("wqkv out_proj", "", {"out_proj": "o_proj"}),
)
