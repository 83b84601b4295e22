"""openai-whisper: sounds as arrays in one 30-second window each, several at once, without the ffmpeg program.

A window is encoded once; language, words and a second try all read that encoding. Words are decoded without time
stamps and without what was said before, greedily; where that loops or is unsure, by a beam search, which draws no lots,
so the same sound always gives the same words.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VtuneError, in_a_line, nearest
from vtune.ingest.transcribe.recogniser import Transcript
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

LOOPING, UNSURE = 2.4, -1.0
"""Compression above which, and mean log probability under which a second try is made (Whisper's own thresholds)."""

BEAMS = 5


class OpenAIWhisper:
    """A model of openai-whisper.

    :param model: a size, or the path of a ``.pt`` file.
    :param language: code; None lets the model tell.
    :raises VtuneError: no such model, or it does not know the language.
    """

    def __init__(self, model: str, language: str | None, device: torch.device) -> None:
        self._model = _load(model, device)
        self._half = device.type == "cuda"
        self._language = _known(language, model, multilingual=self._model.is_multilingual)
        self.batch = 16 if self._half else 4

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Write down what is said in each."""
        import torch
        import whisper

        # On the CPU first: a batch of spectrograms is small, and encoding it is what takes the time.
        windows = [whisper.log_mel_spectrogram(whisper.pad_or_trim(s), self._model.dims.n_mels) for s in sounds]
        with torch.inference_mode():
            mel = torch.stack(windows).to(self._model.device)
            encoded = self._model.encoder(mel.half() if self._half else mel)
            languages = self._languages(encoded)
            found = whisper.decode(self._model, encoded, self._options())
            found = [self._again(one, encoded[place]) for place, one in enumerate(found)]
        return [
            Transcript(one.text.strip(), language, sure, float(one.avg_logprob), float(one.no_speech_prob))
            for one, (language, sure) in zip(found, languages, strict=True)
        ]

    def _languages(self, encoded: torch.Tensor) -> list[tuple[str | None, float | None]]:
        if not self._model.is_multilingual:
            return [(None, None)] * len(encoded)
        _, probabilities = self._model.detect_language(encoded)
        return [max(one.items(), key=lambda pair: pair[1]) for one in probabilities]

    def _again(self, one: Any, encoded: torch.Tensor) -> Any:
        """Try once more where the first try failed; one at a time, for whisper's beams take no batch."""
        import whisper

        if not _failed(one):
            return one
        other = whisper.decode(self._model, encoded, self._options(beam_size=BEAMS))
        return other if not _failed(other) or other.avg_logprob > one.avg_logprob else one

    def _options(self, **more: Any) -> Any:
        import whisper

        return whisper.DecodingOptions(language=self._language, without_timestamps=True, fp16=self._half, **more)


def _failed(one: Any) -> bool:
    return bool(one.compression_ratio > LOOPING or one.avg_logprob < UNSURE)


def _load(model: str, device: torch.device) -> Any:
    import whisper

    sizes = whisper.available_models()
    if model in sizes:
        try:
            return whisper.load_model(model, device=device)
        except (OSError, RuntimeError) as error:
            raise VtuneError(
                f"the weights of whisper {model!r} cannot be downloaded ({in_a_line(error)}); "
                f"with a copy of them, give its path as the model, like /models/{model}.pt"
            ) from error
    path = Path(model).expanduser()
    if not os.path.isfile(path):
        raise VtuneError(f"there is no whisper model {model!r}: it is no file, and the sizes are {', '.join(sizes)}"
                         f"{nearest(model, sizes)}")  # fmt: skip
    try:
        return whisper.load_model(str(path), device=device)
    except Exception as error:  # torch, pickle and whisper each have their own for a file of another kind
        raise VtuneError(
            f"{path} is no checkpoint of openai-whisper ({in_a_line(error)[:120]}); folders of other kinds go with the "
            "backends faster-whisper and transformers"
        ) from error


def _known(language: str | None, model: str, *, multilingual: bool) -> str | None:
    from whisper.tokenizer import LANGUAGES, TO_LANGUAGE_CODE

    if language is None:
        return None if multilingual else "en"
    code = TO_LANGUAGE_CODE.get(language.lower(), language.lower())
    if code not in LANGUAGES:
        codes = [*LANGUAGES, *TO_LANGUAGE_CODE]
        raise VtuneError(
            f"whisper knows no language {language!r}{nearest(language, codes)}; give a code like 'en', or 'auto'"
        )
    if not multilingual and code != "en":
        raise VtuneError(f"{model!r} knows English only, and the language is {language!r}; take a model without '.en'")
    return str(code)
