"""The token of each row of an embedding, read from a model's tokenizer.json.

The file is parsed as plain JSON and not trusted; the merges of pieces, mostly more than half of it,
are passed over unread. Three families of vocabularies are read: byte-level BPE (each character
stands for a byte, as in GPT-2), SentencePiece-like pieces ('▁' is a space, <0x0A> a byte) and
WordPiece ('##' continues a word, kept as it is). A suffix that ends words ('</w>') is a space.

Texts are made for display. A space is '␣'; a backslash is doubled; control, bidirectional,
zero-width, unassigned and other invisible characters are Python's escapes (\\n, \\u202e); bytes
that are not UTF-8 by themselves are <0xE2>.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, overload

from blockresearch.safetensors import json_text
from blockresearch.text import MAX_TOKEN_CHARACTERS, SURROGATE, readable, readable_bytes
from blockresearch.tokens.json_spans import without_value

MAX_FILE_BYTES = 100 * 2**20

MAX_VALUES = 4_000_000

BYTE_PIECE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


# The token of Whisper before those of time, and their number.
NO_TIMES, TIMES = "<|notimestamps|>", 1501


class TokenizerError(ValueError):
    """A tokenizer.json that cannot be read."""


@dataclass(frozen=True)
class Token:
    """One row of the embedding: its readable text, and what it is.

    `kind` is normal, special (a control token), added (after training), byte (not a text by itself)
    or unnamed (the file has no token of this id). `raw` is the unescaped text, for `traits` and
    never for display: cut to 200 characters, bytes that are not UTF-8 as lone surrogates, and a
    space before a WordPiece that begins a word.
    """

    text: str
    kind: str
    raw: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class Tokens(Sequence[Token]):
    """The tokens of n rows, as columns [n] of what each `Token` has."""

    texts: list[str]
    kinds: list[str]
    raws: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, place: int) -> Token: ...

    @overload
    def __getitem__(self, place: slice) -> "Tokens": ...

    def __getitem__(self, place: int | slice) -> "Token | Tokens":
        if isinstance(place, slice):
            return Tokens(self.texts[place], self.kinds[place], self.raws[place])
        return Token(self.texts[place], self.kinds[place], self.raws[place])

    def __iter__(self) -> Iterator[Token]:
        return map(Token, self.texts, self.kinds, self.raws)


def as_tokens(tokens: Iterable[Token]) -> Tokens:
    """The columns of some tokens, which may be columns already."""
    if isinstance(tokens, Tokens):
        return tokens
    tokens = list(tokens)
    return Tokens(
        [token.text for token in tokens],
        [token.kind for token in tokens],
        [token.raw for token in tokens],
    )


NO_TOKENIZER = Token("", "normal")

UNNAMED = Token("", "unnamed")


def read_tokens(tokenizer_json: Path | None, rows: int) -> Tokens:
    """The tokens of an embedding with `rows` rows, in the order of their ids.

    Without a file all tokens are normal and have no text. Entries of a wrong type and ids outside
    the embedding are passed over; of several tokens with one id, an added one or else the last
    counts. Raises TokenizerError if a file is not JSON or contains no vocabulary.
    """
    if tokenizer_json is None:
        return as_tokens([NO_TOKENIZER] * rows)
    spec = _load(Path(tokenizer_json))
    found = as_tokens([UNNAMED] * rows)
    read = _reader(spec)
    empty = True
    for piece, number in _vocabulary(_dict(spec.get("model"))):
        empty = False
        if number < rows:
            found.texts[number], found.kinds[number], found.raws[number] = read(piece)
    for entry in map(_dict, _list(spec.get("added_tokens"))):
        content, added_id = entry.get("content"), entry.get("id")
        if isinstance(content, str) and _is_id(added_id):
            empty = False
            if added_id < rows:
                kind = "special" if entry.get("special") is True else "added"
                _set(found, added_id, content, kind)
    if empty:
        raise TokenizerError(
            f"{tokenizer_json}: no vocabulary found; give a tokenizer.json of the tokenizers "
            "library or none."
        )
    _name_times(found)
    return found


def _set(tokens: Tokens, place: int, raw: str, kind: str) -> None:
    tokens.texts[place], tokens.kinds[place], tokens.raws[place] = _plain(raw, kind)


def _name_times(tokens: Tokens) -> None:
    """Name the times in `tokens` if they follow NO_TIMES and the file does not list them.

    Whisper's code makes them: <|0.00|> to <|30.00|> in steps of 0.02 seconds.
    Source: openai/whisper, tokenizer.py.
    """
    if NO_TIMES not in tokens.raws:
        return
    start = tokens.raws.index(NO_TIMES) + 1
    if tokens.kinds[start : start + TIMES] == ["unnamed"] * TIMES:
        for step in range(TIMES):
            _set(tokens, start + step, f"<|{step / 50:.2f}|>", "added")


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise TokenizerError(
                f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, which no tokenizer is; "
                "remove the file or put the right one there."
            )
        text = without_value(path.read_bytes(), b"model", b"merges")
        spec = json_text.parse(text, MAX_FILE_BYTES, MAX_VALUES)
    except TokenizerError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TokenizerError(
            f"{path}: not readable as JSON ({reason}); fetch the file again or remove it."
        ) from error
    if not isinstance(spec, dict):
        raise TokenizerError(f"{path}: not a JSON object; fetch the file again or remove it.")
    return spec


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_id(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _vocabulary(model: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Pieces and ids: an object piece → id, or, for Unigram, a list of [piece, score]."""
    vocabulary = model.get("vocab")
    if isinstance(vocabulary, dict):
        # To look at each id would take as long as to read its piece.
        if set(map(type, vocabulary.values())) == {int} and min(vocabulary.values()) >= 0:
            yield from vocabulary.items()
        else:
            yield from ((piece, number) for piece, number in vocabulary.items() if _is_id(number))
    for number, entry in enumerate(_list(vocabulary)):
        piece = entry[0] if isinstance(entry, list) and entry else None
        if isinstance(piece, str):
            yield piece, number


def _steps(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The steps of normalizer, pre-tokenizer and decoder, those of sequences too."""
    for stage, inner in (
        ("normalizer", "normalizers"),
        ("pre_tokenizer", "pretokenizers"),
        ("decoder", "decoders"),
    ):
        step = _dict(spec.get(stage))
        yield step
        yield from map(_dict, _list(step.get(inner)))


# The text, kind and unescaped text of a token.
Fields = tuple[str, str, str]


def _reader(spec: dict[str, Any]) -> Callable[[str], Fields]:
    """The function from a piece of the vocabulary to what its token has."""
    model = _dict(spec.get("model"))
    steps = list(_steps(spec))
    types = {step.get("type") for step in steps if isinstance(step.get("type"), str)}
    suffix = _text(model.get("end_of_word_suffix"))
    if "ByteLevel" in types:
        return lambda piece: _byte_level(piece, suffix)
    replaced = [step.get("content") for step in steps]
    replaced += [_dict(step.get("pattern")).get("String") for step in steps]
    if (
        "Metaspace" in types
        or "▁" in replaced
        or model.get("type") == "Unigram"
        or model.get("byte_fallback") is True
    ):
        marks = (
            _text(step.get("replacement")) for step in steps if step.get("type") == "Metaspace"
        )
        mark = next(filter(None, marks), "▁")
        return lambda piece: _sentence_piece(piece, mark)
    if model.get("type") == "WordPiece":
        prefix = _text(model.get("continuing_subword_prefix")) or "##"
        return lambda piece: _word_piece(piece, prefix)
    return lambda piece: _plain(_spaced(piece, suffix, " "), "normal")


def _plain(raw: str, kind: str) -> Fields:
    return readable(raw), kind, raw[:MAX_TOKEN_CHARACTERS]


def _sentence_piece(piece: str, mark: str) -> Fields:
    if piece.startswith("<0x") and BYTE_PIECE.fullmatch(piece):
        return piece, "byte", _bytes_as_text(bytes([int(piece[3:5], 16)]))
    return _plain(piece.replace(mark, " "), "normal")


def _word_piece(piece: str, prefix: str) -> Fields:
    continues = piece.startswith(prefix) and len(piece) > len(prefix)
    raw = piece.removeprefix(prefix) if continues else " " + piece
    return readable(piece), "normal", raw[:MAX_TOKEN_CHARACTERS]


def _spaced(piece: str, suffix: str, space: str) -> str:
    """`piece` with `space` in place of a `suffix` that ends a word."""
    ends = suffix and piece.endswith(suffix)
    return piece.removesuffix(suffix) + space if ends else piece


def _byte_level(piece: str, suffix: str) -> Fields:
    piece = _spaced(piece, suffix, "Ġ")
    try:
        data = piece.translate(BYTE_OF).encode("latin-1")
    except (
        UnicodeEncodeError
    ):  # as the tokenizers library does: not in the byte alphabet, so plain text
        return _plain(piece, "normal")
    raw = _bytes_as_text(data)
    if SURROGATE.search(raw):
        return readable_bytes(data), "byte", raw[:MAX_TOKEN_CHARACTERS]
    return _plain(raw, "normal")


def _bytes_as_text(data: bytes) -> str:
    # surrogateescape turns byte 0xE2 into the lone surrogate U+DCE2, which UTF-8 cannot contain.
    return data.decode("utf-8", "surrogateescape")


def _byte_alphabet() -> dict[int, int]:
    """GPT-2's characters for bytes: printable Latin-1 is itself, the rest follows from U+0100.

    Other characters that Latin-1 has become one that it has not.
    """
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(0x100) if byte not in printable]
    alphabet = {byte: byte if byte in printable else 0xFFFF for byte in range(0x100)}
    alphabet.update({0x100 + at: byte for at, byte in enumerate(others)})
    return alphabet


BYTE_OF = _byte_alphabet()
