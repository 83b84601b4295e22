"""How far the sound of an exported file is from the sound of the voice's own network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from vtune_hibari.network.settings import FFT_SAMPLES
from vtune_hibari.network.sound import stft
from vtune_hibari.network.speaking import SpokenStyle, SpokenText, speak_texts

if TYPE_CHECKING:
    from vtune.contract.exports import VoiceToExport
    from vtune_hibari.export.session import HibariSession

RANGE_DB = 60.0
"""Levels that lie further below the loudest one are silence, and do not count."""

BANDS = 60
"""Equal bands of 200 Hz in which levels are compared; single harmonics would move with the pitch."""

DECIBELS_PER_NEPER = 20 / math.log(10)


def rounding_distance(voice: VoiceToExport, session: HibariSession) -> str:
    """Return a sentence on how far a file's speech is from that of the voice's network, at the same durations."""
    network: Any = voice.model
    distances, moved, total = [], 0, 0
    for _, ids in sentence_ids(voice):
        durations = torch.from_numpy(session.compute(ids.tolist()).durations)
        with torch.inference_mode():
            text = SpokenText(ids.to(voice.device), seed=0)
            own = speak_texts(network, [text], SpokenStyle())[0].durations
            timed = replace(text, durations=durations.to(voice.device))
            expected = speak_texts(network, [timed], SpokenStyle())[0].waveform
        distances.append(band_difference(expected.cpu(), session.speak(ids.tolist())))
        moved += int((own.cpu() - durations).abs().sum())
        total += int(own.sum())
    return (
        f"Rounding to 8 bits changes the speech by {sum(distances) / len(distances):.2f} dB on average over {BANDS} "
        f"bands, and moves {100 * moved / total:.1f} % of the durations by a step of 25 ms."
    )


def sentence_ids(voice: VoiceToExport) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield some sentences, each with the numbers of its symbols, int64 ``[L]``, on the CPU."""
    for sentence, batch in zip(voice.sentences, voice.batches, strict=True):
        yield sentence, batch["input_ids"][0, : int(batch["text_lengths"][0])].cpu()


def band_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    """Return the mean difference of two waveforms' levels in dB, where the louder one is no silence.

    :param first: float32 ``[samples]``, as many as of the second, whole frames.
    """
    first_levels, second_levels = _levels(first), _levels(second)
    louder = torch.maximum(first_levels, second_levels)
    audible = louder > louder.max() - RANGE_DB
    return float((first_levels - second_levels).abs()[audible].mean())


def _levels(waveform: torch.Tensor) -> torch.Tensor:
    """Return the levels of bands in dB, ``[F x 60]``."""
    counts = torch.tensor([len(waveform) // (FFT_SAMPLES // 4)])
    powers = stft(waveform.float()[None], counts)[0, :, 1:].abs().square()
    bands: torch.Tensor = powers.reshape(len(powers), BANDS, -1).mean(2) + 1e-12
    return 0.5 * DECIBELS_PER_NEPER * bands.log()
