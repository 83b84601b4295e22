"""Load the byte-pair vocabulary of IndexTTS-2.5, a ``.tiktoken`` file, with its 1,673 special tokens behind it."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any, Protocol

from vtune import EngineError
from vtune.errors import in_a_line
from vtune.runtime.untrusted import MAX_TOKENIZER_BYTES
from vtune_indextts2.multilingual.languages import TAGS

PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""Where a text is divided before pairs are merged: the pattern of GPT-2 (Radford et al., 2019)."""

TAGS_WITH_TOKEN = 99
"""The first tags have a token of their own; the prefix of the others is encoded as ordinary text."""

_EVENTS = "ASR AED SER Speech /Speech BGM /BGM Laughter /Laughter Applause /Applause HAPPY SAD ANGRY NEUTRAL"
_TASKS = "translate transcribe startoflm startofprev nospeech notimestamps"
_SPEECH = "B O Q A CO CL H"
_TIME_STEPS = 1501
"""Time stamps from 0.00 to 30.00, 0.02 s apart."""

BYTES = 256


class Encoder(Protocol):
    """Turns texts into ids; the text may contain special tokens."""

    @property
    def size(self) -> int:
        """The number of ids."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        ...


def special_tokens() -> list[str]:
    """Return the special tokens in the order of their ids."""
    names = ["endoftext", "startoftranscript", *TAGS[:TAGS_WITH_TOKEN], *_EVENTS.split(), *_TASKS.split()]
    names += [f"SPECIAL_TOKEN_{number}" for number in range(1, 31)]
    names += [f"TTS/{name}" for name in _SPEECH.split()] + [f"TTS/SP{number:02d}" for number in range(1, 14)]
    names += [f"{0.02 * step:.2f}" for step in range(_TIME_STEPS)]
    return [f"<|{name}|>" for name in names]


class BytePairEncoder:
    """A vocabulary of byte pairs with special tokens, by tiktoken."""

    def __init__(self, ranks: dict[bytes, int], size: int) -> None:
        import tiktoken

        special = {name: size + index for index, name in enumerate(special_tokens())}
        self.size = size + len(special)
        self._encoding: Any = tiktoken.Encoding(
            "indextts-2.5", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special
        )

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text; whatever looks like a special token is one."""
        # A command line may hold lone surrogates, which have no bytes.
        text = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self._encoding.encode(text, allowed_special="all")
        return ids


def load_encoder(path: Path, expected_size: int | None = None) -> BytePairEncoder:
    """Read a vocabulary: one ``base64 rank`` a line. A line whose token is empty (``= 48474``) never matches.

    :param expected_size: the number of text tokens in the checkpoint's ``config.yaml``; None: any.
    :raises EngineError: the file is missing or damaged, has another number of tokens, or tiktoken is not installed.
    """
    ranks, lines = _read_ranks(path)
    try:
        encoder = BytePairEncoder(ranks, lines)
    except ImportError as error:
        raise EngineError(
            f"{path.name} needs the package 'tiktoken' ({in_a_line(error)}): install vtune-tts with the extra "
            "'indextts2'"
        ) from error
    if expected_size is not None and encoder.size != expected_size:
        raise EngineError(
            f"{path.name} has {encoder.size} tokens, config.yaml says {expected_size}: it belongs to another checkpoint"
        )
    return encoder


def _read_ranks(path: Path) -> tuple[dict[bytes, int], int]:
    """Return the rank of each token that is not empty, and the number of lines."""
    if not path.is_file():
        raise EngineError(f"there is no tokenizer {path}")
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise EngineError(f"{path} has {path.stat().st_size:,} bytes, which no tokenizer has")
    ranks: dict[bytes, int] = {}
    lines = path.read_bytes().split(b"\n")
    number = 0
    for line in lines:
        if not line.strip():
            continue
        token, _, rank = line.strip().partition(b" ")
        if not rank.isdigit() or int(rank) != number:
            raise EngineError(f"{path} line {number + 1} is {line[:40]!r}; expected a token in base64 and {number}")
        decoded = _decoded(token, path, number)
        if decoded in ranks:
            raise EngineError(f"{path} line {number + 1} has the same token as line {ranks[decoded] + 1}")
        if decoded:
            ranks[decoded] = number
        number += 1
    missing = [value for value in range(BYTES) if bytes([value]) not in ranks]
    if missing:
        raise EngineError(f"{path} lacks {len(missing)} of the {BYTES} single bytes: it is no byte-pair vocabulary")
    return ranks, number


def _decoded(token: bytes, path: Path, number: int) -> bytes:
    if token == b"=":
        return b""
    try:
        return base64.b64decode(token, validate=True)
    except binascii.Error as error:
        raise EngineError(f"{path} line {number + 1}: {token[:40]!r} is no base64: {in_a_line(error)}") from error
