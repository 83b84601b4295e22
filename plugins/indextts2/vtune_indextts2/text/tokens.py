"""Load the checkpoint's SentencePiece model."""

from __future__ import annotations

from pathlib import Path

from sentencepiece import SentencePieceProcessor

from vtune import EngineError
from vtune.errors import in_a_line


def load_tokenizer(path: Path, expected_pieces: int | None = None) -> SentencePieceProcessor:
    """Read a SentencePiece model.

    :param expected_pieces: the number of text tokens in the checkpoint's ``config.yaml``; None: any.
    :raises EngineError: the file is missing or cannot be read, or has another number of pieces.
    """
    if not path.is_file():
        raise EngineError(f"there is no tokenizer {path}")
    try:
        tokenizer = SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        reason = in_a_line(error)[:160]
        raise EngineError(f"{path} cannot be read as a SentencePiece model: {reason}") from error
    pieces = tokenizer.get_piece_size()
    if expected_pieces is not None and pieces != expected_pieces:
        raise EngineError(
            f"{path.name} has {pieces} pieces, config.yaml says {expected_pieces}: it belongs to another checkpoint"
        )
    return tokenizer
