"""Training data: a clip becomes samples, ids, durations and pitch; rows become a padded batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from vtune import Batch, Clip, Features, SkipClip
from vtune.toolkit.pitch import fill_voiceless, measure_f0
from vtune.toolkit.pulses import MIN_VOICED_HZ
from vtune.toolkit.sentences import joined_symbols, read_sentences
from vtune_hibari.network.settings import HOP_SAMPLES, SAMPLE_RATE, STEP_FRAMES
from vtune_hibari.text.symbols import encode_symbols

if TYPE_CHECKING:
    from vtune_hibari.base import HibariBase
    from vtune_hibari.network.voice import HibariNetwork

STEP_SAMPLES = HOP_SAMPLES * STEP_FRAMES
SAMPLE_SCALE = 32767


def prepare(base: HibariBase, clip: Clip) -> Features:
    """Encode one clip: samples int16 ``[N]``, ids int32 ``[L]``, durations int32 ``[L]``, and `ClipPitch`.

    Durations are steps of 25 ms, a frame of F0 has 12.5 ms.

    :raises SkipClip: the clip is too long, has fewer steps than symbols, a symbol has no number, or the recording and
        the text do not fit together.
    """
    if clip.seconds > base.options.max_seconds:
        raise SkipClip(f"{clip.seconds:.1f} s, more than max_seconds {base.options.max_seconds:g}")
    ids = np.array(encode_symbols(joined_symbols(read_sentences(clip.text))), np.int32)
    steps = -(-len(clip.waveform) // STEP_SAMPLES)
    if steps < len(ids):
        raise SkipClip(f"{len(ids)} symbols in {steps} steps of sound: each symbol needs a step")
    samples = np.pad(clip.waveform, (0, steps * STEP_SAMPLES - len(clip.waveform)))
    alignment = base.aligner.align(torch.from_numpy(samples), torch.from_numpy(ids).long())
    lowest = base.options.min_alignment_confidence
    if alignment.confidence < lowest:
        raise SkipClip(
            f"the recording does not seem to say the text: confidence of the alignment {alignment.confidence:.1f}, "
            f"less than min_alignment_confidence {lowest:g}"
        )
    pitch = clip_pitch(base.reference_network, samples, ids, alignment.durations)
    return {
        "samples": np.rint(samples.clip(-1, 1) * SAMPLE_SCALE).astype(np.int16),
        "input_ids": ids,
        "durations": alignment.durations.astype(np.int32),
        "f0": pitch.f0,
        "melody": pitch.melody,
    }


class ClipPitch(NamedTuple):
    """Two pitches of one clip in Hz, each float32 ``[F]``."""

    f0: NDArray[np.float32]
    """What the decoder gets: the measured pitch, as the network itself would say it.

    The network has a pitch in short voiceless sounds too, and none in pauses; whether a sound is voiced is said by the
    decoder's levels. Zeros in every voiceless sound would teach the decoder to wait for zeros
    that never come when the voice speaks.
    """

    melody: NDArray[np.float32]
    """What the pitch predictor is to say: its own melody, moved to the height of the recording.

    A pitch that is predicted from a text never meets the recorded one frame by frame. A predictor that learns recorded
    frames learns their mean, and speaks without melody.
    """


@torch.no_grad()
def clip_pitch(
    network: HibariNetwork, samples: NDArray[np.float32], ids: NDArray[np.int32], durations: NDArray[np.int64]
) -> ClipPitch:
    """Measure the pitch of a clip, and put it into the form that the network knows.

    :param samples: ``[F * 300]``.
    :param ids: ``[L]``.
    :param durations: steps of each symbol, ``[L]``.
    """
    text, steps = torch.from_numpy(ids).long()[None], torch.from_numpy(durations)[None]
    reading = network.read(text, torch.ones_like(text, dtype=torch.bool))
    predicted = network.predict_prosody(reading, steps).f0[0].numpy()
    measured = measure_f0(samples, SAMPLE_RATE, HOP_SAMPLES)
    both = (predicted > MIN_VOICED_HZ) & (measured > 0)
    if not both.any():
        return ClipPitch(predicted, predicted)
    has_pitch = (predicted > MIN_VOICED_HZ) | (measured > 0)
    f0 = np.where(has_pitch, fill_voiceless(measured), predicted)
    height = np.exp(np.median(np.log(measured[both] / predicted[both])))
    return ClipPitch(f0.astype(np.float32), (height * predicted).astype(np.float32))


def collate(features: Sequence[Features]) -> Batch:
    """Pad rows on the right; ``items`` are the steps of each clip, int64 ``[B]``."""
    names = ("input_ids", "durations")
    batch = {
        name: pad_sequence([torch.as_tensor(row[name], dtype=torch.long) for row in features], batch_first=True)
        for name in names
    }
    pitches = {
        name: pad_sequence([torch.as_tensor(row[name]) for row in features], batch_first=True)
        for name in ("f0", "melody")
    }
    samples = [torch.as_tensor(row["samples"].astype(np.float32) / SAMPLE_SCALE) for row in features]
    return {
        **batch,
        "text_lengths": torch.tensor([len(row["input_ids"]) for row in features]),
        "samples": pad_sequence(samples, batch_first=True),
        **pitches,
        "items": torch.tensor([int(row["durations"].sum()) for row in features]),
        "lots": torch.tensor([float(row["lot"]) for row in features], dtype=torch.float64),
    }
