"""Split long text into pieces that are spoken at once, and decide the pauses between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vtune import Waveform
from vtune.toolkit import PAUSE_SECONDS, is_speakable

PARAGRAPH_PAUSE_SECONDS = 0.7
SENTENCE_PAUSE_SECONDS = 0.35
CLAUSE_PAUSE_SECONDS = 0.18

# Sentence marks of Latin, CJK, Arabic and Devanagari script, with closing quotes and brackets after them.
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？؟।])[\"'”’」』）]*\s*(?=\S)")
_CLAUSE = re.compile(r"(?<=[,;:–—])\s+|(?<=[，；：、])")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Jr|Sr)\.$")


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Words that are spoken at once, and the seconds of silence after them."""

    text: str
    pause: float


def split_text(text: str, max_chars: int) -> list[TextPiece]:
    """Split text at paragraphs and sentences, then at clauses, then at words, into pieces of at most ``max_chars``.

    Short sentences of one paragraph are joined, because a voice reads two short sentences better at once. Pieces
    without a letter or a digit become pauses. Nothing else is lost: joined with blanks, the pieces are the text again.

    ``"Hello there. How are you?\\n\\nFine."`` gives ``[("Hello there. How are you?", 0.7), ("Fine.", 0.0)]``.
    """
    pieces: list[TextPiece] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        parts = _pack(_sentences(" ".join(paragraph.split())), max_chars)
        for index, (part, pause) in enumerate(parts):
            pieces.append(TextPiece(part, PARAGRAPH_PAUSE_SECONDS if index == len(parts) - 1 else pause))
    pieces = _with_pauses(pieces)
    if pieces:
        pieces[-1] = TextPiece(pieces[-1].text, 0.0)
    return pieces


def _with_pauses(pieces: list[TextPiece]) -> list[TextPiece]:
    """Replace pieces that cannot be spoken by a longer pause after the piece before them."""
    speakable: list[TextPiece] = []
    for piece in pieces:
        if is_speakable(piece.text):
            speakable.append(piece)
        elif piece.text and speakable:
            speakable[-1] = TextPiece(speakable[-1].text, max(PAUSE_SECONDS, speakable[-1].pause))
    return speakable


def missing_pause(tail: Waveform, sample_rate: int, pause: float) -> Waveform:
    """Return the zeros that lengthen the silence at the end of ``tail`` to ``pause`` seconds: float32 ``[samples]``.

    Silence is at least 30 dB below the loudest sample of the tail. A reading often ends in a pause of its own.
    """
    peak = float(np.abs(tail).max()) if len(tail) else 0.0
    loud = np.flatnonzero(np.abs(tail) > peak * 10 ** (-30 / 20)) if peak else np.zeros(0)
    quiet = len(tail) - 1 - int(loud[-1]) if len(loud) else len(tail)
    return np.zeros(max(0, round(pause * sample_rate) - quiet), dtype=np.float32)


def _sentences(paragraph: str) -> list[str]:
    sentences, start = [], 0
    for match in _SENTENCE.finditer(paragraph):
        candidate = paragraph[start : match.end()].strip()
        if _ABBREVIATION.search(candidate):
            continue
        sentences.append(candidate)
        start = match.end()
    return [*sentences, paragraph[start:].strip()]


def _pack(sentences: list[str], max_chars: int) -> list[tuple[str, float]]:
    parts: list[tuple[str, float]] = []
    for sentence in sentences:
        if parts and parts[-1][1] == SENTENCE_PAUSE_SECONDS and len(parts[-1][0]) + 1 + len(sentence) <= max_chars // 2:
            parts[-1] = (f"{parts[-1][0]} {sentence}", SENTENCE_PAUSE_SECONDS)
            continue
        clauses = _cut(sentence, max_chars)
        parts += [(clause, CLAUSE_PAUSE_SECONDS) for clause in clauses[:-1]] + [(clauses[-1], SENTENCE_PAUSE_SECONDS)]
    return parts


def _cut(sentence: str, max_chars: int) -> list[str]:
    """Cut a sentence that is too long: at a clause, otherwise between words, otherwise anywhere."""
    parts = []
    while len(sentence) > max_chars:
        # After the last comma that leaves a piece of at least a third of the length, otherwise after the last blank.
        cuts = [match.end() for match in _CLAUSE.finditer(sentence, 0, max_chars + 2) if match.end() <= max_chars]
        cut = next((end for end in reversed(cuts) if end >= max_chars // 3), 0)
        cut = cut or sentence.rfind(" ", 1, max_chars + 1) + 1 or max_chars
        parts.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*parts, sentence]
