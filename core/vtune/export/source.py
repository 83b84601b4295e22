"""Open the voice to export in float32, and record its logits for real prompts.

A prompt is a sentence that the voice spoke when it was made, words and sound, encoded as its training rows were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune.audio import read
from vtune.engines import Engine
from vtune.errors import DataError, SkipClip, VoiceError
from vtune.recipe import EvaluateRecipe, LoraRecipe
from vtune.recipe.parse import read_draft
from vtune.runtime.paths import VoiceFolder
from vtune.types import Batch, Clip, EngineOptions, Features, LoraSettings
from vtune.voice_format.record import read_record
from vtune.voices.speech import LoadedVoice, open_voice
from vtune.voices.voice_options import options_of

if TYPE_CHECKING:
    import torch
    from torch import nn

MAX_PROMPTS = 4
"""Prompts to compare; each costs a forward pass before the export and one after."""


@dataclass(slots=True)
class ExportSource:
    """A voice to export, with its prompts.

    :param settings: the voice's recipe as plain data.
    :param options: engine options that differ from those of the training.
    :param clips: the prompts; ``features`` are their features, ``answers`` the voice's logits for them.
    """

    folder: VoiceFolder
    voice: LoadedVoice
    settings: Mapping[str, Any]
    options: Mapping[str, Any]
    clips: Sequence[Clip]
    features: Sequence[Features]
    answers: Sequence[torch.Tensor]
    device: torch.device

    @property
    def engine(self) -> Engine:
        """The engine of the voice."""
        return self.voice.engine

    @property
    def lora(self) -> LoraSettings:
        """The adapter's shape."""
        return LoraRecipe.model_validate(self.voice.record.lora).settings()

    @property
    def batches(self) -> list[Batch]:
        """Each prompt as a batch of its own."""
        return [self.engine.collate(self.voice.base, [row]) for row in self.features]

    def options_with(self, **changes: Any) -> EngineOptions:
        """Return the engine's options with some changed."""
        return options_of(self.engine, self.voice.record, {**self.options, **changes})

    def take_model(self) -> nn.Module:
        """Return the model and forget it, so that its memory can be freed."""
        from torch import nn

        model, self.voice.model = self.voice.model, nn.Module()
        return model


def open_export_source(
    folder: VoiceFolder, device: str = "auto", options: Mapping[str, Any] | None = None
) -> ExportSource:
    """Open a voice and compute its logits for its prompts; its memory has been checked before.

    :raises VoiceError: the voice is damaged, its base is quantised, or none of its sentences can be encoded.
    """
    from vtune.training import guards

    settings = _settings(folder)
    voice = open_voice(folder, device, "fp32", options, check_memory=False)
    if guards.is_quantised(voice.model):
        raise VoiceError(f"{folder.path}: the base of this voice is quantised; export it with --set quantization=none")
    clips, features = encoded_prompts(voice, folder, settings, options or {})
    model_device = next(voice.model.parameters()).device
    source = ExportSource(folder, voice, settings, options or {}, clips, features, [], model_device)
    source.answers = [guards.probe_logits(voice.model, batch) for batch in source.batches]
    return source


def _settings(folder: VoiceFolder) -> dict[str, Any]:
    if not folder.recipe.is_file():
        if not read_record(folder).has_recipe:
            return {}  # vtune trained nothing for it
        raise VoiceError(f"{folder.recipe} is missing; the voice is incomplete, make it again")
    return read_draft(folder.recipe).data


def encoded_prompts(
    voice: LoadedVoice, folder: VoiceFolder, settings: Mapping[str, Any], changes: Mapping[str, Any]
) -> tuple[list[Clip], list[Features]]:
    """Encode sentences that a voice spoke as its training rows were; what it has not spoken yet, it speaks now.

    :param folder: has the samples.
    :param settings: the voice's recipe as plain data.
    :raises VoiceError: no sentence can be encoded; says why.
    """
    clips, features, reasons = [], [], []
    options = options_of(voice.engine, voice.record, changes)
    sentences = settings.get("evaluate", {}).get("sentences") or EvaluateRecipe().sentences
    for number, text in enumerate(sentences[:MAX_PROMPTS], 1):
        try:
            clip = Clip(f"sample {number}", voice.record.name, text, *_sound(voice, folder, settings, number, text))
            features.append(voice.engine.prepare_sample(voice.base, clip, options))
        except (SkipClip, DataError) as reason:
            reasons.append(f"sample {number}: {reason}")
        else:
            clips.append(clip)
    if not clips:
        raise VoiceError(f"{folder.path}: no sentence of this voice can be encoded as a prompt: {'; '.join(reasons)}")
    return clips, features


def _sound(
    voice: LoadedVoice, folder: VoiceFolder, settings: Mapping[str, Any], number: int, text: str
) -> tuple[np.ndarray, int]:
    kept = folder.samples / f"{number:02d}.wav"
    if kept.is_file():
        return read(kept, voice.sample_rate), voice.sample_rate
    seed = int(settings.get("evaluate", {}).get("seed", 0))
    pieces = [piece.waveform for piece in voice.stream(text, seed)]
    return np.concatenate([np.zeros(0, np.float32), *pieces]), voice.sample_rate
