"""Append pieces to a SentencePiece model: letters and syllables of a language that it does not know.

A model file is a protocol buffer whose pieces are a repeated field, and of two concatenated messages the repeated
fields are joined. So pieces are appended by appending bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sentencepiece import SentencePieceProcessor

from vtune import EngineError
from vtune.errors import shown

WORD_START = "\u2581"
"""How SentencePiece writes the blank before a word."""

LETTERS_BEFORE = ("", "'", "A", "-")
"""What may stand before a piece: at the beginning of a word, a longer piece with the blank may win."""

_PIECES_FIELD, _TEXT_FIELD, _SCORE_FIELD = b"\x0a", b"\x0a", b"\x15"
"""Keys of the fields: the pieces of a model; text and score of a piece."""


def missing_pieces(tokenizer: SentencePieceProcessor, pieces: Sequence[str]) -> list[str]:
    """Return the pieces that a tokenizer does not have yet, each once."""
    known = tokenizer.unk_id()
    return [piece for piece in dict.fromkeys(pieces) if tokenizer.piece_to_id(piece) == known]


def parts_of(tokenizer: SentencePieceProcessor, piece: str) -> list[int]:
    """Return the ids that write a piece in a tokenizer without it."""
    ids: list[int] = tokenizer.encode(piece.replace(WORD_START, " ").strip())
    return ids or [tokenizer.unk_id()]


def with_pieces(tokenizer: SentencePieceProcessor, pieces: Sequence[str]) -> SentencePieceProcessor:
    """Return a tokenizer with further pieces, whose ids follow those of the others.

    A new piece is merged after all old ones, so texts that were written without unknown letters keep their ids, except
    where a new piece joins two old ones.

    :raises EngineError: a piece can never be used, because no two pieces join to it.
    """
    lowest = min(tokenizer.get_score(number) for number in range(tokenizer.get_piece_size()))
    appended = b"".join(_encoded(piece, lowest - 1 - number) for number, piece in enumerate(pieces))
    extended = SentencePieceProcessor(model_proto=tokenizer.serialized_model_proto() + appended)
    for piece in pieces:
        text = piece.replace(WORD_START, " ").strip()
        written = [extended.encode(before + text, out_type=str) for before in LETTERS_BEFORE]
        if not any(piece in parts for parts in written):
            raise EngineError(
                f"engine_options.new_tokens: {shown(piece)} would never be used, the tokenizer writes it as "
                f"{' '.join(written[0])}; also name the piece that two of these join to, before it"
            )
    return extended


def _encoded(piece: str, score: float) -> bytes:
    text = piece.encode("utf-8")
    message = _TEXT_FIELD + _varint(len(text)) + text + _SCORE_FIELD + struct.pack("<f", score)
    return _PIECES_FIELD + _varint(len(message)) + message


def _varint(number: int) -> bytes:
    """Encode a number in groups of 7 bits, the lowest first; all but the last have the bit 128."""
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])
