"""Recognise speech with faster-whisper (extra ``faster-whisper``): Whisper in CTranslate2, 1.5 x as fast on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.recognisers import Transcript
from vtune.errors import VtuneError, choices, in_a_line
from vtune.ingest.transcribe.join_transcripts import join_transcripts
from vtune.ingest.transcribe.numerals import decode_numerals_in_words, numeral_tokens
from vtune.recipe.data_sections import NumberStyle
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch


class FasterWhisper:
    """A model of faster-whisper, in int8 on a CPU and in float16 on a GPU.

    :param model: a folder that CTranslate2 wrote, a size, or a Hub id.
    :param language: code of the language; None lets the model detect it. With a code, no other language is detected.
    :param numbers: "words" transcribes sounds whose text holds numerals again, without the tokens of numerals.
    :raises VtuneError: the extra is not installed, the model does not exist, or it does not support the language.
    """

    batch = 1

    def __init__(self, model: str, language: str | None, device: torch.device, numbers: NumberStyle = "words") -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise VtuneError(
                "the backend faster-whisper is not installed; install vtune-tts with the extra 'faster-whisper'"
            ) from error
        folder = Path(model).expanduser()
        name = str(folder) if folder.is_dir() else model
        kind = "float16" if device.type == "cuda" else "int8"
        try:
            self._model = WhisperModel(name, device=device.type, device_index=device.index or 0, compute_type=kind)
        except Exception as error:  # CTranslate2, the Hub and tokenizers raise different errors
            raise VtuneError(
                f"faster-whisper cannot load {model!r} ({in_a_line(error)[:160]}); give a size, a Hub id, or the path "
                "of a folder that CTranslate2 wrote, with its model.bin and tokenizer.json"
            ) from error
        self._language, self._numbers = language, numbers
        if language is not None and language not in self._model.supported_languages:
            known_languages = choices(language, self._model.supported_languages, "it knows")
            raise VtuneError(
                f"{model!r} does not know language {language!r}{known_languages}; give one of them, or 'auto'"
            )

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound."""
        transcripts = [self._transcribe(sound) for sound in sounds]
        if self._numbers == "digits":
            return transcripts
        return decode_numerals_in_words(
            transcripts,
            lambda indices: [
                self._transcribe(sounds[index], suppress_tokens=[-1, *self._numeral_tokens]) for index in indices
            ],
        )

    @cached_property
    def _numeral_tokens(self) -> list[int]:
        tokenizer = self._model.hf_tokenizer
        tokens = range(tokenizer.get_vocab_size())
        return numeral_tokens(tokenizer.decode([token], skip_special_tokens=False) for token in tokens)

    def _transcribe(self, sound: Waveform, **options: Any) -> Transcript:
        segments, info = self._model.transcribe(
            sound,
            language=self._language,
            temperature=0.0,  # higher temperatures sample, so the same sound would give different words
            condition_on_previous_text=False,
            without_timestamps=True,
            **options,
        )
        language, probability = (None, None) if self._language else (info.language, float(info.language_probability))
        transcripts = [
            Transcript(part.text.strip(), language, probability, part.avg_logprob, part.no_speech_prob)
            for part in segments
        ]
        return join_transcripts(transcripts) if transcripts else Transcript("", language, probability)
