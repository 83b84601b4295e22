"""Whether the words are there: a recogniser's word error rate, beside its rate on the recordings themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import soxr

from vtune.errors import VtuneError
from vtune.evaluate.metrics import Judged, Share
from vtune.evaluate.takes import Take
from vtune.recipe import Recipe, TranscribeRecipe
from vtune.transcribe import Recogniser, open_recogniser
from vtune.transcribe.comparing import distance, plain
from vtune.transcribe.hearing import RATE
from vtune.types import Clip, Waveform

QUIET = 0.5
"""Seconds of silence put around what is heard: Whisper loses words that begin at once."""

SMALLEST = ("tiny.en", "base.en", "tiny", "base", "small.en", "small")
"""Models of openai-whisper that are looked for on this machine, in this order."""


class WordErrors:
    """Wrong, missing and added words over the words of the text; a long answer can go beyond 1.

    :raises VtuneError: there is no recogniser.
    """

    name, title, percent, best = "words", "wrong words", True, 0.0

    def __init__(self, clips: Sequence[Clip], recipe: Recipe) -> None:
        self._clips = clips
        self._language = recipe.transcribe.language
        model = recipe.evaluate.recogniser or _weights_here()
        settings = TranscribeRecipe(model=model, language=self._language, device=recipe.transcribe.device)
        self._recogniser: Recogniser = open_recogniser(settings)
        self.heard: list[str] = []
        """What was heard in the takes that were judged, one by one."""

    def judge(self, takes: Sequence[Take]) -> Judged:
        """Levenshtein distance in words after Whisper's own normalisation, over the number of words."""
        self.heard = list(self._hear((take.waveform, take.sample_rate) for take in takes))
        return [self._against(take.text, words) for take, words in zip(takes, self.heard, strict=True)]

    def recordings(self) -> Judged:
        """What the recogniser gets wrong by itself."""
        heard = self._hear((clip.waveform, clip.sample_rate) for clip in self._clips)
        return [self._against(text, words) for text, words in enumerate(heard)]

    def _against(self, text: int, words: str) -> Share:
        wanted = plain(self._clips[text].text, self._language).split()
        return Share(distance(wanted, plain(words, self._language).split()), max(len(wanted), 1))

    def _hear(self, sounds: Iterator[tuple[Waveform, int]]) -> Iterator[str]:
        while several := list(islice(sounds, self._recogniser.batch)):
            resampled = [soxr.resample(waveform, rate, RATE).astype(np.float32) for waveform, rate in several]
            padded = [np.pad(sound, round(QUIET * RATE)) for sound in resampled]
            yield from (heard.text for heard in self._recogniser.hear(padded))


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
