"""Compute the conditioning of a voice: its reference, chosen among its clips by score, or averaged over clips."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from vtune import Clip, Conditioning, EngineError, Waveform
from vtune_indextts2.recording_features import (
    MIN_REFERENCE_SECONDS,
    extract_features,
    extract_flow_prompt,
    speaker_style,
)
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base

JOIN_PAUSE_SECONDS = 0.2
"""Silence between joined clips."""

CLIPPED_AMPLITUDE = 0.999
"""Samples with at least this amplitude count as clipped."""


@dataclass(frozen=True)
class ReferenceScore:
    """How well a clip can be the reference of its voice.

    :param similarity: cosine similarity of its style and the mean style of the other clips, -1 to 1.
    :param noise: how many dB its quietest tenth is below its loudest parts; 40 and more is clean.
    :param clipped: share of its samples at full scale.
    """

    clip: str
    seconds: float
    similarity: float
    noise: float
    clipped: float

    @property
    def total(self) -> float:
        """Similarity minus up to 0.2 for noise and up to 0.5 for clipping."""
        return self.similarity - 0.2 * (1 - min(max(self.noise, 0.0), 40.0) / 40) - min(50 * self.clipped, 0.5)


def extract(base: IndexTTS2Base, clips: Sequence[Clip]) -> Conditioning:
    """Return the conditioning of a voice; see ``tensors`` for its content.

    :raises EngineError: no clip can be the reference of the voice.
    """
    options = base.options
    longest = options.reference_seconds
    usable = [clip for clip in clips if MIN_REFERENCE_SECONDS <= clip.seconds <= longest and clip.waveform.any()]
    if not usable:
        lengths = [clip.seconds for clip in clips]
        raise EngineError(
            f"no clip of voice {clips[0].voice!r} can be its reference: a reference needs {MIN_REFERENCE_SECONDS:g} to "
            f"{longest:g} s of sound (engine_options.reference_seconds), but the clips have {min(lengths):.1f} to "
            f"{max(lengths):.1f} s"
        )
    styles = torch.cat([speaker_style(base, clip.waveform, clip.sample_rate) for clip in usable])
    scores = score(usable, styles)
    ranked = sorted(range(len(usable)), key=lambda index: -scores[index].total)
    chosen = _joined_up_to(longest, usable, ranked) if options.reference == "join" else ranked[:1]
    waveform, rate = _join([usable[index] for index in chosen])
    features = extract_features(base, waveform, rate)
    flow_prompt = extract_flow_prompt(base, waveform, rate, features)
    if options.reference == "average":
        chosen = ranked
        features, flow_prompt = _average_features(base, usable, styles, features, flow_prompt)
    language = _language(base, clips)
    choice = {
        "reference": options.reference,
        "clips": [usable[index].id for index in chosen],
        "scores": [{**asdict(scores[index]), "total": round(scores[index].total, 4)} for index in ranked],
    }
    strings = {
        "choice": json.dumps(choice),
        "release": base.config.title,
        "normaliser": base.frontend.identity(language),
        **({"language": language} if language else {}),
        "fingerprint": json.dumps(base.speaking_fingerprint),
        "seconds_per_token": f"{_pace(base, clips):.5f}",
    }
    return Conditioning(tensors(base, features, flow_prompt), strings)


def tensors(base: IndexTTS2Base, features: RecordingFeatures, flow_prompt: FlowPrompt) -> Mapping[str, np.ndarray]:
    """Return the tensors of a voice's file, float32 except ``ref_codes``.

    - ``spk_cond_emb`` and ``emo_cond_emb`` ``[1 x T x F]``: semantic features of the reference, for other software.
    - ``style`` ``[1 x S]``, ``ref_mel`` ``[1 x 80 x P]`` and ``prompt_condition`` ``[1 x P x C]``: the flow's prompt.
    - ``emotion`` ``[1 x D]``: the emotion that the GPT is told.
    - what the release needs beside; see its ``voice_tensors``.
    """
    stored = {
        "spk_cond_emb": features.features,
        "emo_cond_emb": features.features,
        "style": flow_prompt.style,
        "ref_mel": flow_prompt.ref_mel,
        "prompt_condition": flow_prompt.prompt_condition,
        "emotion": features.emotion,
        **base.release.voice_tensors(base, features, flow_prompt),
    }
    return {name: tensor.detach().cpu().numpy() for name, tensor in stored.items()}


def score(clips: Sequence[Clip], styles: torch.Tensor) -> list[ReferenceScore]:
    """Score the clips of one voice, given their styles ``[clips x S]``."""
    total = styles.sum(dim=0)
    scores = []
    for clip, own in zip(clips, styles, strict=True):
        others = total - own if len(clips) > 1 else own
        loudness = _levels(clip.waveform, clip.sample_rate)
        scores.append(
            ReferenceScore(
                clip.id,
                round(clip.seconds, 2),
                round(float(F.cosine_similarity(own, others, dim=0)), 4),
                round(float(np.percentile(loudness, 95) - np.percentile(loudness, 10)), 1),
                round(float(np.mean(np.abs(clip.waveform) >= CLIPPED_AMPLITUDE)), 5),
            )
        )
    return scores


def _levels(waveform: Waveform, sample_rate: int) -> np.ndarray:
    """Return the level of each 20 ms in dB: float64 ``[frames]``."""
    size = max(sample_rate // 50, 1)
    frames = waveform[: len(waveform) // size * size].reshape(-1, size) if len(waveform) >= size else waveform[None]
    levels: np.ndarray = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-10)
    return levels


def _joined_up_to(seconds: float, clips: Sequence[Clip], ranked: Sequence[int]) -> list[int]:
    chosen: list[int] = []
    left = seconds
    for index in ranked:
        needed = clips[index].seconds + (JOIN_PAUSE_SECONDS if chosen else 0)
        if needed <= left and (not chosen or clips[index].sample_rate == clips[chosen[0]].sample_rate):
            chosen.append(index)
            left -= needed
    return chosen


def _join(clips: Sequence[Clip]) -> tuple[Waveform, int]:
    rate = clips[0].sample_rate
    pause = np.zeros(int(JOIN_PAUSE_SECONDS * rate), dtype=np.float32)
    pieces = [piece for clip in clips for piece in (pause, clip.waveform)][1:]
    return np.concatenate(pieces), rate


def _average_features(
    base: IndexTTS2Base, clips: Sequence[Clip], styles: torch.Tensor, best: RecordingFeatures, flow_prompt: FlowPrompt
) -> tuple[RecordingFeatures, FlowPrompt]:
    # Only tensors without a time axis have a meaningful mean.
    all_features = [extract_features(base, clip.waveform, clip.sample_rate) for clip in clips]
    condition = torch.stack([features.condition for features in all_features]).mean(dim=0)
    emotion = torch.stack([features.emotion for features in all_features]).mean(dim=0)
    return (
        RecordingFeatures(best.features, best.codes, best.content, condition, emotion),
        FlowPrompt(styles.mean(dim=0, keepdim=True), flow_prompt.ref_mel, flow_prompt.prompt_condition),
    )


def _language(base: IndexTTS2Base, clips: Sequence[Clip]) -> str:
    """Return the language of most clips, an empty one if the release has no tags."""
    tags = Counter(base.frontend.resolve(clip.text, base.options.language) for clip in clips)
    return tags.most_common(1)[0][0]


def _pace(base: IndexTTS2Base, clips: Sequence[Clip]) -> float:
    tokens = sum(len(base.frontend.tokenize(clip.text, base.options.language)) for clip in clips)
    return sum(clip.seconds for clip in clips) / max(tokens, 1)
