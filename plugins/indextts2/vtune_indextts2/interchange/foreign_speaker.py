"""What a voice of another trainer speaks with: the five tensors of the fork, or a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vtune import Conditioning, VoiceError
from vtune.contract.imports import VoiceToImport
from vtune.errors import listed
from vtune.toolkit import read_tensors
from vtune_indextts2.conditioning import tensors as voice_tensors
from vtune_indextts2.gpt.conditioning import ConditioningEncoder, EmotionEncoder
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures
from vtune_indextts2.reference_recording import recording_of

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base

REQUIRED_TENSORS = ("spk_cond_emb", "style", "ref_mel", "prompt_condition")
FIVE_TENSORS = (*REQUIRED_TENSORS, "emo_cond_emb")
"""The tensors of ``speaker_embeddings.pt``; without the last one, the speaker's features give the emotion too."""

USUAL_PACE_SECONDS = 0.25
"""Seconds of speech for one text token where no transcript says it; slow speakers need a second."""

MAX_PROMPT_DIFFERENCE = 0.05
"""Largest difference of a stored prompt and the one that its features give, as a share of its largest number."""


@dataclass(frozen=True)
class ForeignSpeaker:
    """The conditioning of an imported voice.

    :param notes: sentences about what the files say.
    :param files: that were read.
    """

    conditioning: Conditioning
    notes: tuple[str, ...]
    files: tuple[Path, ...]


@torch.no_grad()
def read_speaker(
    base: IndexTTS2Base, source: VoiceToImport, found: Path | None, encoder: EmotionEncoder
) -> ForeignSpeaker:
    """Return what an imported voice speaks with.

    :param found: embeddings that lie beside the weights.
    :param encoder: gives speaker latents and emotion; with what the other trainer learned in it.
    :raises VoiceError: there are neither embeddings nor a recording, or they do not fit the base.
    """
    path = source.embeddings or (None if source.reference else found)
    if path is None:
        if source.reference is None:
            raise VoiceError(
                f"{source.path} has no speaker_embeddings.pt beside it; name one with --embeddings FILE, or a "
                "recording of the speaker with --reference RECORDING"
            )
        return _of_recording(base, source.reference, encoder)
    if not isinstance(encoder, ConditioningEncoder):
        raise VoiceError(
            f"{path} holds the speaker as IndexTTS-2 takes it, and this base is {base.config.title}; name a recording "
            "of the speaker with --reference RECORDING"
        )
    stored = _five_tensors(base, path)
    features = stored["spk_cond_emb"]
    codes, embedding = base.codec.quantize(features)
    recording = RecordingFeatures(
        features, codes, embedding, encoder.speaker(features), encoder.emotion(stored["emo_cond_emb"])
    )
    prompt = FlowPrompt(stored["style"], stored["ref_mel"], stored["prompt_condition"])
    kept = {**voice_tensors(base, recording, prompt), "emo_cond_emb": stored["emo_cond_emb"].cpu().numpy()}
    files = tuple(sorted(path.glob("*.pt"))) if path.is_dir() else (path,)
    note = _prompt_note(base, recording, prompt, path)
    return ForeignSpeaker(Conditioning(kept, _strings(base, path.name)), (note,), files)


def _of_recording(base: IndexTTS2Base, path: Path, encoder: EmotionEncoder) -> ForeignSpeaker:
    recording, prompt = recording_of(base, base.options, "--reference", path)
    features = recording.features
    speaker = encoder.speaker(features) if isinstance(encoder, ConditioningEncoder) else recording.condition
    learned = RecordingFeatures(features, recording.codes, recording.content, speaker, encoder.emotion(features))
    return ForeignSpeaker(
        Conditioning(voice_tensors(base, learned, prompt), _strings(base, path.name)),
        (f"the voice speaks with the recording {path.name} as its reference",),
        (path,),
    )


def _strings(base: IndexTTS2Base, name: str) -> dict[str, str]:
    return {"vtune.clips": name, "release": base.config.title, "seconds_per_token": str(USUAL_PACE_SECONDS)}


def _prompt_note(base: IndexTTS2Base, recording: RecordingFeatures, prompt: FlowPrompt, path: Path) -> str:
    """Say whether the stored prompt follows from the stored features by this base's codec and length regulator."""
    frames = torch.tensor([prompt.ref_mel.shape[-1]], device=base.frozen_device)
    computed = base.s2mel.condition(recording.content, frames)
    difference = float((computed - prompt.prompt_condition).abs().max() / computed.abs().max().clamp(min=1e-9))
    if difference <= MAX_PROMPT_DIFFERENCE:
        return (
            f"{path.name}: its prompt follows from its features by the codec and the s2mel.pth of this base (within "
            f"{difference:.0e})"
        )
    return (
        f"{path.name}: its prompt does not follow from its features by the codec and the s2mel.pth of this base "
        f"(difference {difference:.2f}): it was averaged over several recordings, or made with another base; listen"
    )


def _five_tensors(base: IndexTTS2Base, path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors, float32 on the device of the frozen parts.

    :raises VoiceError: a tensor is missing, has another shape, or holds no numbers.
    """
    content = _content(path)
    missing = [name for name in REQUIRED_TENSORS if not isinstance(content.get(name), torch.Tensor)]
    if missing:
        raise VoiceError(f"{path} has no tensor {listed(missing)}; speaker_embeddings.pt has {', '.join(FIVE_TENSORS)}")
    content = {"emo_cond_emb": content["spk_cond_emb"], **content}
    shapes = _shapes(base, content)
    for name, axes in shapes.items():
        tensor = content[name]
        fits = tensor.ndim == len(axes) and all(a in (None, size) for a, size in zip(axes, tensor.shape, strict=True))
        if not fits or not tensor.numel():
            expected = ", ".join("any" if size is None else str(size) for size in axes)
            raise VoiceError(f"{path}: {name} has the shape {list(tensor.shape)}; this base expects [{expected}]")
        if not torch.isfinite(tensor.float()).all():
            raise VoiceError(f"{path}: {name} holds values that are NaN or infinite")
    return {name: content[name].detach().float().to(base.frozen_device) for name in shapes}


def _content(path: Path) -> Mapping[str, Any]:
    """Read one file, or a folder with a file for each tensor, as the fork's store writes both."""
    if path.is_dir():
        return {name: read_tensors(path / f"{name}.pt") for name in FIVE_TENSORS if (path / f"{name}.pt").is_file()}
    content = read_tensors(path)
    if not isinstance(content, Mapping):
        raise VoiceError(f"{path} holds a {type(content).__name__}; speaker_embeddings.pt holds tensors by name")
    return content


def _shapes(base: IndexTTS2Base, content: Mapping[str, Any]) -> dict[str, tuple[int | None, ...]]:
    config = base.config
    frames = content["ref_mel"].shape[-1] if content["ref_mel"].ndim else 0
    return {
        "spk_cond_emb": (1, None, config.gpt.feature_dim),
        "emo_cond_emb": (1, None, config.gpt.feature_dim),
        "style": (1, config.s2mel.style_encoder.dim),
        "ref_mel": (1, config.mel.bins, None),
        "prompt_condition": (1, frames, config.s2mel.dit.content_dim),
    }
