import json

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from blockresearch.text import readable
from blockresearch.tokens.tokenizer import Token, TokenizerError, read_tokens


def saved(tmp_path, spec):
    path = tmp_path / "tokenizer.json"
    path.write_text(spec if isinstance(spec, str) else json.dumps(spec), encoding="utf-8")
    return path


def test_byte_level_agrees_with_the_library(tmp_path):
    pieces = [" the", "é", "日本", "\n\n", "\u202e", "A", "😀", " \xa0", "##x", "▁"]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    encoded = [
        "".join(piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text))
        for text in pieces
    ]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*encoded, *alphabet]))}
    tokenizer.model = models.BPE(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.add_tokens(["  "])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))

    size = tokenizer.get_vocab_size()
    tokens = read_tokens(path, size + 3)
    assert [token.text for token in tokens[: len(pieces)]] == [readable(p) for p in pieces]
    for number, token in enumerate(tokens[:size]):
        text = tokenizer.decode([number], skip_special_tokens=False)
        assert token.kind == "byte" if "\ufffd" in text else token.text == readable(text)
    assert list(tokens[size - 2 : size]) == [Token("<|end|>", "special"), Token("␣␣", "added")]
    assert list(tokens[size:]) == [Token("", "unnamed")] * 3
    assert Token("<0xE2>", "byte") in tokens


@pytest.mark.parametrize("step", ["ByteLevel", "BertPreTokenizer"])
def test_end_of_word_suffix_is_a_space(tmp_path, step):
    model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": {"cat</w>": 0, "cat": 1}}
    path = saved(tmp_path, {"model": model, "pre_tokenizer": {"type": step}})
    assert [token.text for token in read_tokens(path, 2)] == ["cat␣", "cat"]


def test_marks_of_its_own(tmp_path):
    steps = {"type": "Sequence", "decoders": [{"type": "Metaspace", "replacement": "_"}]}
    spec = {"model": {"type": "BPE", "vocab": {"_a": 0, "▁": 1}}, "decoder": steps}
    assert [token.text for token in read_tokens(saved(tmp_path, spec), 2)] == ["␣a", "▁"]
    model = {"type": "WordPiece", "continuing_subword_prefix": "@@", "vocab": {"@@a": 0, "##": 1}}
    assert [token.raw for token in read_tokens(saved(tmp_path, {"model": model}), 2)] == [
        "a",
        " ##",
    ]


@pytest.mark.parametrize("kind", ["Unigram", "BPE"])
def test_sentence_pieces(tmp_path, kind):
    pieces = ["<unk>", "▁the", "▁▁", "ing", "<0x0A>", "<0xe2>", "é"]
    if kind == "Unigram":
        tokenizer = Tokenizer(models.Unigram([(p, -1.0) for p in pieces], 0, True))
        tokenizer.decoder = decoders.Metaspace()
    else:
        vocabulary = {p: i for i, p in enumerate(pieces)}
        tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse()])
    tokenizer.add_special_tokens(["<unk>"])
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    assert list(read_tokens(path, 8)) == [
        Token("<unk>", "special"),
        Token("␣the", "normal"),
        Token("␣␣", "normal"),
        Token("ing", "normal"),
        Token("<0x0A>", "byte"),
        Token("<0xe2>", "byte"),
        Token("é", "normal"),
        Token("", "unnamed"),
    ]


def test_word_pieces_keep_their_marks(tmp_path):
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "play": 1, "##ing": 2, "▁": 4}))
    tokenizer.decoder = decoders.WordPiece()
    path = tmp_path / "tokenizer.json"
    tokenizer.save(str(path))
    texts = [token.text for token in read_tokens(path, 5)]
    assert texts == ["[UNK]", "play", "##ing", "", "▁"]
    assert read_tokens(path, 5)[3].kind == "unnamed"


def test_no_tokenizer():
    assert list(read_tokens(None, 2)) == [Token("", "normal")] * 2


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", "\ud800".encode("utf-16", "surrogatepass"), "[" * 10**6]
)
def test_unreadable_files_are_one_sentence(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(TokenizerError, match=r"tokenizer\.json: [^\n]+\.$"):
        read_tokens(path, 3)


@pytest.mark.parametrize("spec", [{}, {"model": 3}, {"model": {"vocab": "x"}}, {"model": []}])
def test_a_file_without_vocabulary_is_refused(tmp_path, spec):
    with pytest.raises(TokenizerError, match="no vocabulary"):
        read_tokens(saved(tmp_path, spec), 3)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(TokenizerError):
        read_tokens(tmp_path / "none.json", 3)


def test_hostile_entries_are_passed_over(tmp_path):
    vocabulary = {
        "good": 0,
        "negative": -1,
        "beyond": 5,
        "huge": 10**30,
        "text": "1",
        "float": 1.0,
        "true": True,
        "null": None,
        "first": 2,
        "second": 2,
        "replaced": 3,
        "=cmd|'/c calc'!A1<script>": 4,
    }
    added = [
        None,
        [],
        {"id": 3, "content": "<x>", "special": "yes"},
        {"id": [], "content": "y"},
        {"id": 1, "content": 5},
        {"id": 10**30, "content": "far"},
    ]
    spec = {
        "model": {"type": ["BPE"], "vocab": vocabulary, "end_of_word_suffix": 3},
        "added_tokens": added,
        "decoder": {"type": {}, "decoders": [1, {"type": [], "pattern": "▁"}, {"replacement": 1}]},
        "normalizer": [],
        "pre_tokenizer": "ByteLevel",
    }
    assert list(read_tokens(saved(tmp_path, spec), 5)) == [
        Token("good", "normal"),
        Token("", "unnamed"),
        Token("second", "normal"),
        Token("<x>", "added"),
        Token("=cmd|'/c␣calc'!A1<script>", "normal"),
    ]
    listed = {"model": {"type": "Unigram", "vocab": [["▁a", 0.0], 7, [], [3, 1], ["b"]]}}
    kinds = [token.kind for token in read_tokens(saved(tmp_path, listed), 5)]
    assert kinds == ["normal", "unnamed", "unnamed", "unnamed", "normal"]


def test_word_pieces_and_bytes_keep_what_they_are(tmp_path):
    path = tmp_path / "tokenizer.json"
    pieces = {"play": 0, "##ing": 1, "[unused3]": 2}
    path.write_text(json.dumps({"model": {"type": "WordPiece", "vocab": pieces}}))
    assert [token.raw for token in read_tokens(path, 4)] == [" play", "ing", " [unused3]", ""]
    model = {"type": "BPE", "byte_fallback": True, "vocab": {"<0xC0>": 0, "▁a": 1}}
    path.write_text(json.dumps({"model": model}))
    assert [token.raw for token in read_tokens(path, 2)] == ["\udcc0", " a"]
