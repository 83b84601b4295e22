"""Any model of transformers that writes speech down: Whisper and its kin, encoders with a CTC head."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.errors import VtuneError, in_a_line
from vtune.ingest.transcribe.recogniser import RATE, Recogniser, Transcript
from vtune.toolkit.hub import load_pretrained
from vtune.types import Waveform

if TYPE_CHECKING:
    import torch

TOKENS = 15
"""Tokens that a second of speech may take; more is a loop."""


def open_model(name: str, language: str | None, device: torch.device) -> Recogniser:
    """Load a model by its folder or Hub id, as what its configuration says it is.

    :param language: code; only Whisper is told. None lets Whisper tell.
    :raises VtuneError: not there, or no model that writes speech down.
    """
    folder = Path(name).expanduser()
    name = str(folder) if folder.is_dir() else name
    try:
        return _open(name, language, device)
    except VtuneError:
        raise
    except Exception as error:  # transformers, the Hub, safetensors and tokenizers each have their own
        raise VtuneError(
            f"transformers cannot load {name!r} ({in_a_line(error)[:160]}); give a Hub id, or the path of a folder "
            "with config.json, the weights and the processor's files"
        ) from error


def _open(name: str, language: str | None, device: torch.device) -> Recogniser:
    import torch
    import transformers
    from transformers.models.auto import modeling_auto

    config = load_pretrained(transformers.AutoConfig, name)
    made = set(config.architectures or ())
    letters, words = (
        bool(made & set(names.values())) if made else config.model_type in names
        for names in (modeling_auto.MODEL_FOR_CTC_MAPPING_NAMES, modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES)
    )
    if not letters and not words:
        raise VtuneError(
            f"{name!r} is {', '.join(made) or config.model_type}, which writes no speech down by itself; take a model "
            "for automatic speech recognition (Whisper, Moonshine, Speech2Text, Wav2Vec2 with a CTC head)"
        )
    kind = transformers.AutoModelForCTC if letters else transformers.AutoModelForSpeechSeq2Seq
    model = load_pretrained(kind, name, dtype=torch.float16 if device.type == "cuda" else torch.float32)
    model = model.to(device).eval()
    processor = load_pretrained(transformers.AutoProcessor, name)
    if hasattr(processor, "apply_transcription_request") or (words and not config.is_encoder_decoder):
        raise VtuneError(
            f"{name!r} is a {config.model_type}, a language model that must be asked in words to write speech down; "
            "vtune does not ask. Whisper, Moonshine, Speech2Text and models with a CTC head work"
        )
    rate = processor.feature_extractor.sampling_rate
    if rate != RATE:
        raise VtuneError(f"{name!r} wants sound at {rate} Hz; vtune gives {RATE} Hz")
    if letters:
        return HubLetters(model, processor)
    if config.model_type == "whisper":
        from vtune.ingest.transcribe.hub_whisper import HubWhisper

        return HubWhisper(model, processor, language, name)
    return HubWords(model, processor)


class HubLetters:
    """A model with a CTC head: each moment of sound is a letter, or none."""

    batch = 1  # most were not trained on padded sound, and hear something else in it

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Write down what is said in each; the probability is that of the moments that are letters."""
        return [self._hear(sound) for sound in sounds]

    def _hear(self, sound: Waveform) -> Transcript:
        import torch

        with torch.inference_mode():
            logits = self._model(**inputs_of(self._processor, self._model, [sound])).logits[0].float()
        surest, letters = logits.log_softmax(-1).max(-1)
        spoken = surest[letters != self._model.config.pad_token_id]
        text = self._processor.tokenizer.batch_decode(letters[None], skip_special_tokens=True)[0]
        return Transcript(" ".join(text.split()), logprob=float(spoken.mean()) if len(spoken) else None)


class HubWords:
    """A model that writes word after word."""

    batch = 1

    def __init__(self, model: Any, processor: Any) -> None:
        self._model, self._processor = model, processor

    def hear(self, sounds: Sequence[Waveform]) -> list[Transcript]:
        """Write down what is said in each."""
        return [self._hear(sound) for sound in sounds]

    def _hear(self, sound: Waveform) -> Transcript:
        import torch

        config = self._model.config
        room: int = (
            getattr(config, "max_target_positions", None) or getattr(config, "max_position_embeddings", None) or 448
        )
        limit = min(16 + round(TOKENS * len(sound) / RATE), room - 8)
        with torch.inference_mode():
            out = self._model.generate(
                **inputs_of(self._processor, self._model, [sound]), max_new_tokens=limit,
                return_dict_in_generate=True, output_scores=True,
            )  # fmt: skip
        text = self._processor.batch_decode(out.sequences, skip_special_tokens=True)[0]
        return Transcript(" ".join(text.split()), logprob=logprobs_of(self._model, out)[0])


def inputs_of(processor: Any, model: Any, sounds: Sequence[Waveform]) -> dict[str, torch.Tensor]:
    """Make a model's inputs of sounds, on its device and in its number format."""
    inputs = processor(list(sounds), sampling_rate=RATE, return_tensors="pt")
    return {
        key: value.to(model.device, model.dtype) if value.is_floating_point() else value.to(model.device)
        for key, value in inputs.items()
    }


def logprobs_of(model: Any, out: Any) -> list[float | None]:
    """Return the mean log probability of each generated text, its end included."""
    scores = model.compute_transition_scores(
        out.sequences, out.scores, getattr(out, "beam_indices", None), normalize_logits=True
    ).float()
    ends = model.generation_config.eos_token_id
    ends = set(ends) if isinstance(ends, (list, tuple)) else {ends}
    means: list[float | None] = []
    for tokens, row in zip(out.sequences[:, -scores.shape[1] :].tolist(), scores, strict=True):
        # Behind its end a text is padded.
        length = next((place + 1 for place, token in enumerate(tokens) if token in ends), len(tokens))
        means.append(float(row[:length].mean()) if length else None)
    return means
