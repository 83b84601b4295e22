"""Whether the words are there: what a recogniser hears against what should be said, and against its own errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import soxr

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.metrics.word_alignment import Edits, edits
from vtune.ingest.transcribe import Recogniser, open_recogniser
from vtune.ingest.transcribe.error_rates import distance, plain
from vtune.ingest.transcribe.recogniser import RATE
from vtune.recipe import Recipe, TranscribeRecipe
from vtune.types import Waveform

QUIET = 0.5
"""Seconds of silence put around what is heard: Whisper loses words that begin at once."""

SMALLEST = ("tiny.en", "base.en", "tiny", "base", "small.en", "small")
"""Models of openai-whisper that are looked for on this machine, in this order."""

FAILED = 0.5
"""Share of wrong words above which a take has failed (as in Seed-TTS-eval)."""


class Words:
    """Word and character errors of a recogniser after Whisper's own normalisation.

    :raises VtuneError: there is no recogniser.
    """

    figures = (
        MetricSpec("words", "wrong words", "low", "%", headline=True),
        MetricSpec("characters", "wrong characters", "low", "%", headline=True),
        MetricSpec("left_out", "words left out", "low", "%"),
        MetricSpec("added", "words added", "low", "%"),
        MetricSpec("failed", "sentences with more than half of the words wrong", "low", "%"),
        MetricSpec("repeats", "words said again at once", "low", "%"),
        MetricSpec("parroted", "sentences nearer to one of the training than to their own", "low", "%"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        self._language = material.language
        self._trained = {plain(text, self._language) for text in material.trained} - {""}
        model = recipe.evaluate.recogniser or _weights_here()
        settings = TranscribeRecipe(model=model, language=self._language, device=recipe.transcribe.device)
        self._recogniser: Recogniser = open_recogniser(settings)

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Hear every take; errors are over the number of words of the text, so a long answer can go beyond 1."""
        heard = list(self._hear((take.waveform, take.sample_rate) for take in takes))
        found = [self._one(take, words) for take, words in zip(takes, heard, strict=True)]
        names = [figure.name for figure in self.figures if figure.name != "parroted" or self._trained]
        return MetricResult({name: [one[name] for one in found] for name in names}, {"heard": heard})

    def _one(self, take: Utterance, words: str) -> dict[str, Ratio]:
        wanted, said = plain(take.text, self._language), plain(words, self._language)
        found = edits(wanted.split(), said.split())
        count = max(len(wanted.split()), 1)
        return {
            "words": Ratio(found.wrong, count),
            "characters": Ratio(distance(wanted, said), max(len(wanted), 1)),
            "left_out": Ratio(found.left_out, count),
            "added": Ratio(found.added, count),
            "failed": Ratio(float(found.wrong > FAILED * count)),
            "repeats": Ratio(_again(wanted.split(), said.split()), count),
            "parroted": Ratio(float(self._is_parroted(wanted, said, found))),
        }

    def _is_parroted(self, wanted: str, said: str, found: Edits) -> bool:
        """Whether what was said is nearer to a trained text. Nothing can be, that was said right."""
        if not found.wrong or not said or wanted in self._trained:
            return False
        own = distance(wanted, said)
        likely = (text for text in self._trained if abs(len(text) - len(said)) < own)
        return any(distance(text, said) < own for text in likely)

    def _hear(self, sounds: Iterator[tuple[Waveform, int]]) -> Iterator[str]:
        while several := list(islice(sounds, self._recogniser.batch)):
            resampled = [soxr.resample(waveform, rate, RATE).astype(np.float32) for waveform, rate in several]
            padded = [np.pad(sound, round(QUIET * RATE)) for sound in resampled]
            yield from (heard.text for heard in self._recogniser.hear(padded))


def _again(wanted: Sequence[str], said: Sequence[str]) -> int:
    """Count words of a run of up to four that is said again at once, beyond what the text itself repeats."""
    return max(0, _repeated(said) - _repeated(wanted))


def _repeated(words: Sequence[str]) -> int:
    count, place = 0, 0
    while place < len(words):
        for size in (4, 3, 2, 1):
            run = words[place : place + size]
            if len(run) == size and list(words[place + size : place + 2 * size]) == list(run):
                count += size
                place += size
                break
        else:
            place += 1
    return count


def _weights_here() -> str:
    """Find weights of Whisper that need no download: ``VTUNE_WHISPER`` names some, or Whisper's own cache has some."""
    named = os.environ.get("VTUNE_WHISPER")
    if named:
        return named
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "whisper"
    for model in SMALLEST:
        if (cache / f"{model}.pt").is_file():
            return str(cache / f"{model}.pt")
    raise VtuneError("no weights of Whisper are here; evaluate.recogniser=tiny.en fetches some (72 MB, once)")
