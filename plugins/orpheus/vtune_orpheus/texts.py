"""Long text to pieces that are spoken in one go, and the pauses between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from vtune import Waveform
from vtune.toolkit import PAUSE_SECONDS, is_speakable

PARAGRAPH_PAUSE = 0.7
SENTENCE_PAUSE = 0.35
CLAUSE_PAUSE = 0.18

# Sentence marks of Latin, CJK, Arabic and Devanagari script, with closing quotes and brackets behind them.
_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=\S)|(?<=[。！？؟।])[\"'”’」』）]*\s*(?=\S)")
_CLAUSE = re.compile(r"(?<=[,;:–—])\s+|(?<=[，；：、])")
_ABBREVIATION = re.compile(r"(?:^|\s)(?:[A-Z]|Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|No|Jr|Sr)\.$")


@dataclass(frozen=True, slots=True)
class Piece:
    """Words spoken in one go, and the seconds of quiet after them."""

    text: str
    pause: float


def split_text(text: str, longest: int) -> list[Piece]:
    """Split at paragraphs and sentences, then at clauses, then at words, so that no piece is longer than ``longest``.

    Short neighbours of one paragraph are joined: a voice reads two short sentences better in one breath.
    Pieces without a letter or a digit are pauses. Nothing else is lost: joined by blanks, the pieces are the text.
    """
    pieces: list[Piece] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        parts = _pack(_sentences(" ".join(paragraph.split())), longest)
        for place, (part, pause) in enumerate(parts):
            pieces.append(Piece(part, PARAGRAPH_PAUSE if place == len(parts) - 1 else pause))
    pieces = _with_pauses(pieces)
    if pieces:
        pieces[-1] = Piece(pieces[-1].text, 0.0)
    return pieces


def _with_pauses(pieces: list[Piece]) -> list[Piece]:
    """Turn pieces that cannot be read out into pauses of those before them."""
    speakable: list[Piece] = []
    for piece in pieces:
        if is_speakable(piece.text):
            speakable.append(piece)
        elif piece.text and speakable:
            speakable[-1] = Piece(speakable[-1].text, max(PAUSE_SECONDS, speakable[-1].pause))
    return speakable


def missing_pause(tail: Waveform, sample_rate: int, wanted: float) -> Waveform:
    """Return the silence that brings the quiet at the end of ``tail`` up to ``wanted`` seconds.

    Quiet is 30 dB under the tail's loudest sample; a reading often ends in a pause of its own.
    """
    peak = float(np.abs(tail).max()) if len(tail) else 0.0
    loud = np.flatnonzero(np.abs(tail) > peak * 10 ** (-30 / 20)) if peak else np.zeros(0)
    quiet = len(tail) - 1 - int(loud[-1]) if len(loud) else len(tail)
    return np.zeros(max(0, round(wanted * sample_rate) - quiet), dtype=np.float32)


def _sentences(paragraph: str) -> list[str]:
    found, start = [], 0
    for match in _SENTENCE.finditer(paragraph):
        candidate = paragraph[start : match.end()].strip()
        if _ABBREVIATION.search(candidate):
            continue
        found.append(candidate)
        start = match.end()
    return [*found, paragraph[start:].strip()]


def _pack(sentences: list[str], longest: int) -> list[tuple[str, float]]:
    parts: list[tuple[str, float]] = []
    for sentence in sentences:
        if parts and parts[-1][1] == SENTENCE_PAUSE and len(parts[-1][0]) + 1 + len(sentence) <= longest // 2:
            parts[-1] = (f"{parts[-1][0]} {sentence}", SENTENCE_PAUSE)
            continue
        clauses = _cut(sentence, longest)
        parts += [(clause, CLAUSE_PAUSE) for clause in clauses[:-1]] + [(clauses[-1], SENTENCE_PAUSE)]
    return parts


def _cut(sentence: str, longest: int) -> list[str]:
    """Cut one sentence that is too long at clauses, else between words, else anywhere."""
    parts = []
    while len(sentence) > longest:
        # Behind the last comma that leaves a piece of sensible size, else behind the last blank.
        cuts = [match.end() for match in _CLAUSE.finditer(sentence, 0, longest + 2) if match.end() <= longest]
        cut = next((c for c in reversed(cuts) if c >= longest // 3), 0)
        cut = cut or sentence.rfind(" ", 1, longest + 1) + 1 or longest
        parts.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*parts, sentence]
