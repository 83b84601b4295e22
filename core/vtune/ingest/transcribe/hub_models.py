"""Recognise speech with a transformers model: Whisper, other encoder-decoder models, or an encoder with a CTC head."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.recognisers import RECOGNISER_SAMPLE_RATE, Recogniser, Transcript
from vtune.errors import VtuneError, in_a_line
from vtune.ingest.transcribe.hub_inference import inputs_of, logprobs_of, tokens_to_suppress
from vtune.ingest.transcribe.hub_whisper import HubWhisper
from vtune.ingest.transcribe.numerals import decode_numerals_in_words
from vtune.recipe.data_sections import NumberStyle
from vtune.toolkit.hub import load_pretrained
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

MAX_TOKENS_PER_SECOND = 15
"""Tokens per second of speech; a model that writes more is in a loop."""


def open_model(name: str, language: str | None, device: torch.device, numbers: NumberStyle = "words") -> Recogniser:
    """Load a model by its folder or Hub id; its configuration decides which kind of recogniser it is.

    :param language: code of the language, which only Whisper uses. None lets Whisper detect it.
    :param numbers: "words" decodes texts with numerals again, without the tokens of numerals; a CTC model writes what
        it hears.
    :raises VtuneError: the model does not exist, or cannot recognise speech.
    """
    folder = Path(name).expanduser()
    name = str(folder) if folder.is_dir() else name
    try:
        return _open(name, language, device, numbers)
    except VtuneError:
        raise
    except Exception as error:  # transformers, the Hub, safetensors and tokenizers raise different errors
        raise VtuneError(
            f"transformers cannot load {name!r} ({in_a_line(error)[:160]}); give a Hub id, or the path of a folder "
            "with config.json, the weights and the processor's files"
        ) from error


def _open(name: str, language: str | None, device: torch.device, numbers: NumberStyle) -> Recogniser:
    import torch
    import transformers
    from transformers.models.auto import modeling_auto

    config = load_pretrained(transformers.AutoConfig, name)
    architectures = set(config.architectures or ())
    is_ctc, is_seq2seq = (
        bool(architectures & set(names.values())) if architectures else config.model_type in names
        for names in (modeling_auto.MODEL_FOR_CTC_MAPPING_NAMES, modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES)
    )
    if not is_ctc and not is_seq2seq:
        raise VtuneError(
            f"{name!r} is a {', '.join(architectures) or config.model_type}, which cannot recognise speech; use one "
            "for automatic speech recognition (Whisper, Moonshine, Speech2Text, Wav2Vec2 with a CTC head)"
        )
    model_class = transformers.AutoModelForCTC if is_ctc else transformers.AutoModelForSpeechSeq2Seq
    model = load_pretrained(model_class, name, dtype=torch.float16 if device.type == "cuda" else torch.float32)
    model = model.to(device).eval()
    processor = load_pretrained(transformers.AutoProcessor, name)
    if hasattr(processor, "apply_transcription_request") or (is_seq2seq and not config.is_encoder_decoder):
        raise VtuneError(
            f"{name!r} is a {config.model_type}, a language model that needs a prompt to recognise speech, which vtune "
            "does not support; choose Whisper, Moonshine, Speech2Text or a model with a CTC head"
        )
    rate = processor.feature_extractor.sampling_rate
    if rate != RECOGNISER_SAMPLE_RATE:
        raise VtuneError(f"{name!r} needs sound at {rate} Hz, but vtune supplies {RECOGNISER_SAMPLE_RATE} Hz")
    if is_ctc:
        return HubCTCModel(model, processor)
    if config.model_type == "whisper":
        return HubWhisper(model, processor, language, name, numbers)
    return HubSeq2SeqModel(model, processor, numbers)


class HubCTCModel:
    """A model with a CTC head, which assigns a letter or nothing to each frame of sound."""

    batch = 1  # most models were not trained on padded sound, and recognise other words in it

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound; ``logprob`` is the mean over the frames with letters."""
        return [self._transcribe(sound) for sound in sounds]

    def _transcribe(self, sound: Waveform) -> Transcript:
        import torch

        with torch.inference_mode():
            logits = self._model(**inputs_of(self._processor, self._model, [sound])).logits[0].float()
        logprobs, letters = logits.log_softmax(-1).max(-1)
        letter_logprobs = logprobs[letters != self._model.config.pad_token_id]
        text = self._processor.tokenizer.batch_decode(letters[None], skip_special_tokens=True)[0]
        return Transcript(
            " ".join(text.split()), logprob=float(letter_logprobs.mean()) if len(letter_logprobs) else None
        )


class HubSeq2SeqModel:
    """An encoder-decoder model, which generates the text token by token."""

    batch = 1

    def __init__(self, model: Any, processor: Any, numbers: NumberStyle = "words") -> None:
        self._model, self._processor, self._numbers = model, processor, numbers

    def transcribe(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Transcribe each sound."""
        transcripts = [self._transcribe(sound) for sound in sounds]
        if self._numbers == "digits":
            return transcripts
        return decode_numerals_in_words(
            transcripts,
            lambda indices: [
                self._transcribe(sounds[index], suppress_tokens=self._suppressed_tokens) for index in indices
            ],
        )

    @cached_property
    def _suppressed_tokens(self) -> list[int]:
        return tokens_to_suppress(self._model, self._processor)

    def _transcribe(self, sound: Waveform, **options: Any) -> Transcript:
        import torch

        config = self._model.config
        max_positions: int = (
            getattr(config, "max_target_positions", None) or getattr(config, "max_position_embeddings", None) or 448
        )
        limit = min(16 + round(MAX_TOKENS_PER_SECOND * len(sound) / RECOGNISER_SAMPLE_RATE), max_positions - 8)
        with torch.inference_mode():
            out = self._model.generate(
                **inputs_of(self._processor, self._model, [sound]), max_new_tokens=limit,
                return_dict_in_generate=True, output_scores=True, **options,
            )  # fmt: skip
        text = self._processor.batch_decode(out.sequences, skip_special_tokens=True)[0]
        return Transcript(" ".join(text.split()), logprob=logprobs_of(self._model, out)[0])
