"""Make a voice of what the fork of index-tts, or another public trainer, saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from vtune import VoiceError
from vtune.contract.imports import ImportedVoice, VoiceToImport
from vtune.errors import in_a_line, listed
from vtune.runtime.untrusted import FileRefused, read_json_object, why
from vtune_indextts2.gpt.conditioning import EmotionEncoder, encoder_class
from vtune_indextts2.interchange.foreign_speaker import read_speaker
from vtune_indextts2.interchange.foreign_weights import (
    PEFT_PREFIX,
    ForeignWeights,
    adapted_modules,
    read_weights,
    untouched_pairs,
)
from vtune_indextts2.interchange.layouts import TrainedFiles, find_trained_files
from vtune_indextts2.memory_footprint import empty_network
from vtune_indextts2.part_loaders import gpt_tensors
from vtune_indextts2.state_dicts import Tensors

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base


ENCODER_SETTINGS = ("r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern")
"""Settings of an adapter that change what it computes in the conditioning encoders."""


def import_voice(base: IndexTTS2Base, source: VoiceToImport) -> ImportedVoice:
    """Read an adapter or a fine-tuned GPT with the speaker's embeddings; see the hook ``import_voice``."""
    files = find_trained_files(source.path)
    weights = read_weights(files)
    notes = _training_notes(weights) if weights.settings is not None else [_difference_note(base, weights)]
    encoder = learned_encoder(base, weights)
    speaker = read_speaker(base, source, files.embeddings(), encoder)
    lora = None
    if weights.settings is not None:
        names = [name for name, _ in empty_network(base.config).named_modules()]
        lora = weights.lora(names)
    return ImportedVoice(
        weights.layout,
        weights.network,
        speaker.conditioning,
        (*weights.files, *speaker.files),
        lora,
        files.speaker,
        (*notes, *speaker.notes, *_unknown(files)),
        _stated_fingerprint(files),
    )


def learned_encoder(base: IndexTTS2Base, weights: ForeignWeights) -> EmotionEncoder:
    """Return the conditioning encoders with what the other trainer learned in them.

    Its software adds that to the encoders when it speaks. Here it is in the latents and the emotion that the voice
    keeps, so the voice needs no adapter there.
    """
    encoder = base.conditioning_encoder
    if not weights.encoder:
        return encoder
    if weights.settings is None:
        return _with_weights(base, encoder, weights.encoder)
    if len(untouched_pairs(weights.encoder)) == len(adapted_modules(weights.encoder)):
        return encoder
    return _with_adapter(base, weights.encoder, weights.settings)


def _with_weights(base: IndexTTS2Base, encoder: EmotionEncoder, tensors: Tensors) -> EmotionEncoder:
    own = encoder.state_dict()
    differing = [name for name, tensor in own.items() if name not in tensors or tensors[name].shape != tensor.shape]
    if differing:
        raise VoiceError(f"the checkpoint does not fit the base: its encoders lack {listed(differing)}")
    learned = encoder_class(base.config.gpt)(base.config.gpt)
    learned.load_state_dict({name: tensors[name].float() for name in own})
    return learned.to(base.frozen_device).eval().requires_grad_(False)


def _with_adapter(base: IndexTTS2Base, tensors: Tensors, settings: Mapping[str, object]) -> EmotionEncoder:
    from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

    learned = encoder_class(base.config.gpt)(base.config.gpt)
    learned.load_state_dict(base.conditioning_encoder.state_dict())
    named = {f"{PEFT_PREFIX}{name.removeprefix(PEFT_PREFIX)}": tensor for name, tensor in tensors.items()}
    kept = {name: settings[name] for name in ENCODER_SETTINGS if settings.get(name)}
    try:
        model = get_peft_model(learned, LoraConfig(**kept, target_modules=adapted_modules(tensors)))
        result = set_peft_model_state_dict(model, named)
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise VoiceError(
            f"the adapter does not fit the conditioning encoders of the base: {in_a_line(error)[:200]}"
        ) from error
    if result.unexpected_keys:
        raise VoiceError(f"the adapter does not fit the base: {listed(result.unexpected_keys)} have no place in it")
    merged: EmotionEncoder = model.merge_and_unload()
    return merged.to(base.frozen_device).eval().requires_grad_(False)


def _training_notes(weights: ForeignWeights) -> list[str]:
    """Say which parts of an adapter that training never changed. :raises VoiceError: it changed none."""
    everything: dict[str, torch.Tensor] = {**weights.network, **weights.encoder}
    pairs, untouched = adapted_modules(everything), untouched_pairs(everything)
    if len(untouched) == len(pairs):
        raise VoiceError(
            f"the adapter changes nothing: all {len(pairs)} pairs of matrices are as before the first step of a "
            "training; train again with gradient checkpointing off, or with vtune"
        )
    if not untouched:
        return [f"all {len(pairs)} pairs of matrices of the adapter were changed by its training"]
    changed = sorted(set(pairs) - set(untouched))
    return [
        f"its training never changed {len(untouched)} of the {len(pairs)} pairs of matrices of the adapter; it changed "
        f"{listed(changed)}. A known cause is gradient checkpointing, which cut the gradients of the frozen blocks"
    ]


def _difference_note(base: IndexTTS2Base, weights: ForeignWeights) -> str:
    """Say how many tensors a fine-tuning changed. :raises VoiceError: it changed none."""
    own = gpt_tensors(base.files.gpt)
    changed = [
        name
        for name, tensor in weights.network.items()
        if name not in own or not torch.equal(own[name].float(), tensor)
    ]
    if not changed:
        raise VoiceError(
            f"the checkpoint changes nothing: its {len(weights.network)} tensors of the GPT are those of the base"
        )
    return f"{len(changed)} of its {len(weights.network)} tensors of the GPT differ from those of this base"


def _unknown(files: TrainedFiles) -> list[str]:
    """Say what the files cannot tell."""
    notes = ["how numbers were written out in its training is not known; the fork uses WeTextProcessing (here: wetext)"]
    if files.exported_facts() is None:
        notes.append(
            "the files do not say which gpt.pth they were trained on; that they fit this base by their shapes is no "
            "proof, so listen to samples/"
        )
    return notes


def _stated_fingerprint(files: TrainedFiles) -> dict[str, str] | None:
    """Return the hashes of the base that ``vtune export`` wrote beside the files; None for other software's files."""
    path = files.exported_facts()
    if path is None:
        return None
    try:
        stated = read_json_object(path).get("fingerprint")
    except (OSError, FileRefused) as error:
        raise VoiceError(f"{path} cannot be read: {why(error)}") from error
    return {str(name): str(digest) for name, digest in stated.items()} if isinstance(stated, dict) else None
