"""Praat's TextGrids, ``talk.TextGrid`` beside ``talk.wav``: tiers of intervals, in Praat's long or its short form.

Which tier holds sentences, words or phones is told by its labels; ``text_column`` names a tier. Without sentences,
words are joined up to a pause. Several tiers of sentences that take turns, and MFA's ``nora - words``, are speakers.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vtune.dataset.sources.columns import ColumnChoice, listed
from vtune.dataset.sources.cue_texts import MAX_JOINED_SECONDS, Cue
from vtune.dataset.sources.cues import CueFormat
from vtune.errors import DataError, nearest

WORDS_PAUSE_SECONDS = 0.35
"""Seconds without a word at which the words of a tier are parted into clips."""

MIN_SENTENCE_WORDS = 1.7
"""Words of a label, on average, from which a tier holds sentences."""

MAX_TURN_SHARE = 0.3
"""Share of their time up to which two tiers of sentences may overlap and still be two speakers."""

_TOKEN = re.compile(r'"([^"]*(?:""[^"]*)*)"|(?<!\S)(-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?!\S)|<(exists|absent)>')
_SILENCE = re.compile(r"<?(sil|silence|sp|spn|pau|pause|p|nib|usb|eps|#+|_+|-+|\.+)?>?", re.IGNORECASE)
_SENTENCE_NAME = re.compile(r"sent|utt|phrase|transcript|ortho|text|ipu|trn|line|breath", re.IGNORECASE)
_WORD_NAME = re.compile(r"\b(words?|ort(-mau)?|tokens?)\b", re.IGNORECASE)
_PHONE_NAME = re.compile(r"phone|\bmau\b|segment|sampa|\bipa\b|syll", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class IntervalTier:
    """The labels of one tier that have a text."""

    name: str
    labels: list[Cue]

    @property
    def words_a_label(self) -> float:
        """Words of a label, on average."""
        return sum(len(label.text.split()) for label in self.labels) / max(1, len(self.labels))

    @property
    def holds_phones(self) -> bool:
        """Whether the labels are phones: by the name of the tier, or because they are as short as phones are."""
        characters = sum(len(label.text) for label in self.labels) / max(1, len(self.labels))
        seconds = sum((label.end or 0) - (label.start or 0) for label in self.labels) / max(1, len(self.labels))
        is_named = _PHONE_NAME.search(self.name) and not _WORD_NAME.search(self.name)
        return self.words_a_label < 1.2 and (bool(is_named) or (characters < 2.5 and seconds < 0.2))

    @property
    def holds_sentences(self) -> bool:
        """Whether most labels have several words, or are as long as a sentence in a script without blanks."""
        characters = sum(len(label.text) for label in self.labels) / max(1, len(self.labels))
        return not self.holds_phones and (self.words_a_label >= MIN_SENTENCE_WORDS or characters > 14)


class TextGridFormat(CueFormat):
    """Tiers of labels of one recording."""

    name = "Praat TextGrid"
    kind = "Praat TextGrid"
    endings = sure_endings = (".textgrid",)
    joins = False
    rank = 2

    def sign(self, path: Path, head: str) -> str | None:
        """Look for Praat's first lines."""
        return "it begins as a TextGrid of Praat does" if '"TextGrid"' in head[:200] else None

    def cues(self, path: Path, text: str, choice: ColumnChoice) -> Iterator[Cue]:
        """Yield the labels of the tiers of sentences, or the words of the tiers of words, joined at pauses."""
        tiers = [tier for tier in _tiers(path, text) if tier.labels]
        if choice.text is not None:
            chosen = [tier for tier in tiers if tier.name == choice.text]
            if not chosen:
                names = [tier.name for tier in tiers]
                raise DataError(
                    f"{path} has no tier {choice.text!r}{nearest(choice.text, names)} (it has: {listed(names)})"
                )
            yield from _clips(chosen[0])
            return
        for tier, speaker in _spoken_tiers(path, tiers):
            for clip in _clips(tier):
                yield replace(clip, speaker=speaker)


def _tiers(path: Path, text: str) -> Iterator[IntervalTier]:
    """Yield the tiers of intervals. Both forms have the same texts and numbers; the rest means nothing."""
    breaks = [match.start() for match in re.finditer("\n", text)]
    tokens = _TOKEN.finditer(text)
    read = (_Token(match[1], match[2], bisect_right(breaks, match.start()) + 1) for match in tokens if not match[3])
    try:
        header = [next(read).text for _ in range(2)]
        if header[1] != "TextGrid":
            raise DataError(f"{path} is not a TextGrid of Praat")
        next(read).number, next(read).number
        for _ in range(int(next(read).number)):
            kind, name = next(read).text, next(read).text
            next(read).number, next(read).number
            labels = []
            for _ in range(int(next(read).number)):
                start = next(read).number
                end = next(read).number if kind == "IntervalTier" else None
                token = next(read)
                words = " ".join(token.text.replace('""', '"').split())
                if kind == "IntervalTier" and not _SILENCE.fullmatch(words):
                    labels.append(Cue(token.line, start, end, words))
            if kind == "IntervalTier":
                yield IntervalTier(name, labels)
    except (StopIteration, ValueError) as error:
        raise DataError(f"{path} breaks off, or is no TextGrid of Praat: {error or 'the end is missing'}") from error


@dataclass(frozen=True, slots=True)
class _Token:
    quoted: str | None
    digits: str | None
    line: int

    @property
    def text(self) -> str:
        """The text. :raises ValueError: a number stands there."""
        if self.quoted is None:
            raise ValueError(f"line {self.line} has {self.digits} where a text was expected")
        return self.quoted

    @property
    def number(self) -> float:
        """The number. :raises ValueError: a text stands there."""
        if self.digits is None:
            raise ValueError(f"line {self.line} has a text where a number was expected")
        return float(self.digits)


def _spoken_tiers(path: Path, tiers: Sequence[IntervalTier]) -> Iterator[tuple[IntervalTier, str]]:
    """Yield the tiers to read, each with its speaker, empty if there is one only.

    :raises DataError: no tier has words, or several say the same stretches.
    """
    sentences = [tier for tier in tiers if tier.holds_sentences]
    chosen = sentences or [tier for tier in tiers if not tier.holds_phones]
    if not chosen:
        raise DataError(f"{path} has no tier of words (its tiers: {listed([tier.name for tier in tiers])})")
    for usual in (_SENTENCE_NAME, _WORD_NAME):
        named = [tier for tier in chosen if usual.search(tier.name)]
        if named and (len(named) == 1 or _take_turns(named)):
            chosen = named
            break
    if len(chosen) > 1 and not _take_turns(chosen):
        raise DataError(
            f"{path} has several tiers of words for the same stretches ({listed([tier.name for tier in chosen])}); "
            "name the right one with 'text_column:'"
        )
    for tier in chosen:
        yield tier, tier.name.partition(" - ")[0].strip() if len(chosen) > 1 else ""


def _take_turns(tiers: Sequence[IntervalTier]) -> bool:
    """Tell whether the labels of tiers hardly overlap, as those of several speakers."""
    spans = sorted((label.start or 0.0, label.end or 0.0) for tier in tiers for label in tier.labels)
    total, overlap, latest = 0.0, 0.0, 0.0
    for start, end in spans:
        total += end - start
        overlap += max(0.0, min(latest, end) - start)
        latest = max(latest, end)
    return overlap <= MAX_TURN_SHARE * total


def _clips(tier: IntervalTier) -> Iterable[Cue]:
    return tier.labels if tier.holds_sentences else _joined_words(tier.labels)


def _joined_words(words: Iterable[Cue]) -> Iterator[Cue]:
    """Join words up to a pause, or up to 13 s."""
    clip: Cue | None = None
    for word in words:
        start, end = word.start or 0.0, word.end or 0.0
        if clip is not None and clip.start is not None and clip.end is not None:
            if start - clip.end < WORDS_PAUSE_SECONDS and end - clip.start <= MAX_JOINED_SECONDS:
                clip = replace(clip, end=end, text=f"{clip.text} {word.text}")
                continue
            yield clip
        clip = word
    if clip is not None:
        yield clip


FORMAT = TextGridFormat()
