"""What a voice keeps: its reference, chosen among its clips by scores that are written down, or averaged."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from vtune import Clip, Conditioning, EngineError, Waveform
from vtune_indextts2.listening import SHORTEST, Heard, Portrait, hear, portray, style

if TYPE_CHECKING:
    from vtune_indextts2.base import IndexTTS2Base

PAUSE = 0.2
"""Seconds of silence between clips that are joined."""

CLIPPED = 0.999
"""Samples beyond this are taken for clipped."""


@dataclass(frozen=True)
class Score:
    """How fit a clip is to stand for its voice.

    :param similarity: cosine of its style to the mean style of the other clips, -1 to 1.
    :param noise: how far its quietest tenth lies below its loudest, in dB; 40 and more is clean.
    :param clipped: share of its samples at full scale.
    """

    clip: str
    seconds: float
    similarity: float
    noise: float
    clipped: float

    @property
    def total(self) -> float:
        """Similarity, less up to 0.2 for noise and up to 0.5 for clipping."""
        return self.similarity - 0.2 * (1 - min(max(self.noise, 0.0), 40.0) / 40) - min(50 * self.clipped, 0.5)


def extract(base: IndexTTS2Base, clips: Sequence[Clip]) -> Conditioning:
    """Keep a reference; see ``tensors`` for what is in it.

    :raises EngineError: no clip can stand for the voice.
    """
    options = base.options
    longest = options.reference_seconds
    usable = [clip for clip in clips if SHORTEST <= clip.seconds <= longest and clip.waveform.any()]
    if not usable:
        lengths = [clip.seconds for clip in clips]
        raise EngineError(
            f"no clip of voice {clips[0].voice!r} can be its reference: it must have {SHORTEST:g} to {longest:g} s "
            f"of sound (engine_options.reference_seconds), the clips have {min(lengths):.1f} to {max(lengths):.1f} s"
        )
    styles = torch.cat([style(base, clip.waveform, clip.sample_rate) for clip in usable])
    scores = score(usable, styles)
    ranked = sorted(range(len(usable)), key=lambda place: -scores[place].total)
    chosen = _joined_up_to(longest, usable, ranked) if options.reference == "join" else ranked[:1]
    waveform, rate = _join([usable[place] for place in chosen])
    heard = hear(base, waveform, rate)
    portrait = portray(base, waveform, rate, heard)
    if options.reference == "average":
        chosen = ranked
        heard, portrait = _averaged(base, usable, styles, heard, portrait)
    choice = {
        "reference": options.reference,
        "clips": [usable[place].id for place in chosen],
        "scores": [{**asdict(scores[place]), "total": round(scores[place].total, 4)} for place in ranked],
    }
    strings = {
        "choice": json.dumps(choice),
        "normaliser": base.frontend.engine.identity,
        "fingerprint": json.dumps(base.spoken_with),
        "seconds_per_token": f"{_pace(base, clips):.5f}",
    }
    return Conditioning(tensors(base, heard, portrait), strings)


def tensors(base: IndexTTS2Base, heard: Heard, portrait: Portrait) -> Mapping[str, np.ndarray]:
    """Return what a voice's file holds, float32 unless said otherwise.

    ``spk_cond_emb``, ``emo_cond_emb`` ``[1, T, F]``: semantic features of the reference, for other software; ``style``
    ``[1, S]``; ``ref_mel`` ``[1, 80, P]``; ``prompt_condition`` ``[1, P, C]``; ``condition`` ``[1, 32, D]`` and
    ``emotion`` ``[1, D]``, which the GPT takes; ``ref_codes`` int64 ``[1, T]``; and the codec's table, ``codebook``
    ``[K, 8]`` with ``codebook_weight`` ``[H, 8]`` and ``codebook_bias`` ``[H]``: with these a voice speaks without
    w2v-BERT, codec and CAMPPlus.
    """
    quantizer = base.codec.quantizer.only
    kept = {
        "spk_cond_emb": heard.features,
        "emo_cond_emb": heard.features,
        "style": portrait.style,
        "ref_mel": portrait.ref_mel,
        "prompt_condition": portrait.prompt_condition,
        "condition": heard.condition,
        "emotion": heard.emotion,
        "ref_codes": heard.codes,
        "codebook": quantizer.codebook.weight,
        "codebook_weight": quantizer.out_project.weight[:, :, 0],
        "codebook_bias": quantizer.out_project.bias,
    }
    return {name: tensor.detach().cpu().numpy() for name, tensor in kept.items() if tensor is not None}


def score(clips: Sequence[Clip], styles: torch.Tensor) -> list[Score]:
    """Score clips of one voice with styles ``[n, S]``."""
    total = styles.sum(dim=0)
    scores = []
    for clip, own in zip(clips, styles, strict=True):
        others = total - own if len(clips) > 1 else own
        loudness = _levels(clip.waveform, clip.sample_rate)
        scores.append(
            Score(
                clip.id,
                round(clip.seconds, 2),
                round(float(F.cosine_similarity(own, others, dim=0)), 4),
                round(float(np.percentile(loudness, 95) - np.percentile(loudness, 10)), 1),
                round(float(np.mean(np.abs(clip.waveform) >= CLIPPED)), 5),
            )
        )
    return scores


def _levels(waveform: Waveform, sample_rate: int) -> np.ndarray:
    """Level of each 20 ms in dB."""
    size = max(sample_rate // 50, 1)
    frames = waveform[: len(waveform) // size * size].reshape(-1, size) if len(waveform) >= size else waveform[None]
    levels: np.ndarray = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-10)
    return levels


def _joined_up_to(seconds: float, clips: Sequence[Clip], ranked: Sequence[int]) -> list[int]:
    chosen: list[int] = []
    left = seconds
    for place in ranked:
        needed = clips[place].seconds + (PAUSE if chosen else 0)
        if needed <= left and (not chosen or clips[place].sample_rate == clips[chosen[0]].sample_rate):
            chosen.append(place)
            left -= needed
    return chosen


def _join(clips: Sequence[Clip]) -> tuple[Waveform, int]:
    rate = clips[0].sample_rate
    pause = np.zeros(int(PAUSE * rate), dtype=np.float32)
    pieces = [piece for clip in clips for piece in (pause, clip.waveform)][1:]
    return np.concatenate(pieces), rate


def _averaged(
    base: IndexTTS2Base, clips: Sequence[Clip], styles: torch.Tensor, best: Heard, portrait: Portrait
) -> tuple[Heard, Portrait]:
    # Only what has no time axis has a mean that means something.
    each = [hear(base, clip.waveform, clip.sample_rate) for clip in clips]
    condition = torch.stack([heard.condition for heard in each]).mean(dim=0)
    emotion = torch.stack([heard.emotion for heard in each]).mean(dim=0)
    return (
        Heard(best.features, best.codes, best.embedding, condition, emotion),
        Portrait(styles.mean(dim=0, keepdim=True), portrait.ref_mel, portrait.prompt_condition),
    )


def _pace(base: IndexTTS2Base, clips: Sequence[Clip]) -> float:
    tokens = sum(len(base.frontend.tokenize(clip.text)) for clip in clips)
    return sum(clip.seconds for clip in clips) / max(tokens, 1)
