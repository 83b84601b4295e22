"""faster-whisper (the extra ``faster-whisper``): Whisper in CTranslate2, half as fast again on a CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.errors import VtuneError, choices, in_a_line
from vtune.ingest.transcribe.recogniser import Transcript, joined
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch


class FasterWhisper:
    """A model of faster-whisper; in int8 on the CPU, float16 on a GPU.

    :param model: a folder that CTranslate2 wrote, a size, or a Hub id.
    :param language: code; None lets the model tell. Where it is given, faster-whisper does not tell another.
    :raises VtuneError: the extra is not installed, or the model is not there or does not know the language.
    """

    batch = 1

    def __init__(self, model: str, language: str | None, device: torch.device) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise VtuneError(
                "the backend faster-whisper is not installed: install vtune-tts with the extra 'faster-whisper'"
            ) from error
        folder = Path(model).expanduser()
        name = str(folder) if folder.is_dir() else model
        kind = "float16" if device.type == "cuda" else "int8"
        try:
            self._model = WhisperModel(name, device=device.type, device_index=device.index or 0, compute_type=kind)
        except Exception as error:  # CTranslate2, the Hub and tokenizers each have their own
            raise VtuneError(
                f"faster-whisper cannot load {model!r} ({in_a_line(error)[:160]}); give a size, a Hub id, or the path "
                "of a folder that CTranslate2 wrote, with its model.bin and tokenizer.json"
            ) from error
        self._language = language
        if language is not None and language not in self._model.supported_languages:
            there = choices(language, self._model.supported_languages, "it knows")
            raise VtuneError(f"{model!r} knows no language {language!r}{there}; give one, or 'auto'")

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Write down what is said in each."""
        return [self._hear(sound) for sound in sounds]

    def _hear(self, sound: Waveform) -> Transcript:
        segments, about = self._model.transcribe(
            sound,
            language=self._language,
            temperature=0.0,  # others draw lots, and the same sound would give other words
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        language, sure = (None, None) if self._language else (about.language, float(about.language_probability))
        heard = [
            Transcript(part.text.strip(), language, sure, part.avg_logprob, part.no_speech_prob) for part in segments
        ]
        return joined(heard) if heard else Transcript("", language, sure)
