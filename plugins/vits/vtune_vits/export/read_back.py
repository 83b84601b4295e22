"""Speak with an exported file and with the voice's network, and compare: sound, durations, speed, spectra."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.contract.exports import ReadBack, VoiceToExport
from vtune_vits.export.session import PiperSession, SpokenByFile
from vtune_vits.export.speakers import own_speaker

if TYPE_CHECKING:
    import torch

    from vtune_vits.network.speaking import SpokenStyle
    from vtune_vits.network.voice import VitsNetwork

SPECTRAL_RANGE_DB = 60.0
"""Levels that lie further below the loudest one are silence, and do not count in a spectral distance."""

SPECTRUM_SAMPLES, SPECTRUM_HOP = 1024, 256
"""Window and step of the spectra that are compared."""

DECIBELS_PER_NEPER = 20 / math.log(10)


def compare_sound(voice: VoiceToExport, network: Any, session: PiperSession, speaker: int) -> Iterator[ReadBack]:
    """Yield durations, sound and stated pitch of some sentences without noise, by a network and by a file.

    The sound is compared at the durations that the file rounds: a predicted duration that lies within the rounding
    error of a whole number would otherwise give one frame more. And it is compared at the pitch that the file states:
    a pulse train adds up the rounding errors of the pitch.

    :param network: a ``VitsNetwork``, or a PEFT model around one.
    :param speaker: number of the voice's speaker in the network; in the file it is 0.
    """
    import torch

    style = _without_noise(voice)
    for sentence, ids in _sentence_ids(voice):
        spoken = session.speak(ids.tolist(), style)
        with torch.inference_mode():
            frames = exact_frames(network, ids, style, speaker)
        yield ReadBack(f"durations of {sentence!r}", frames, spoken.exact_frames)
        sound, f0 = _sound_and_pitch(network, ids, style, speaker, spoken)
        yield ReadBack(sentence, sound, spoken.waveform)
        if f0 is not None:
            yield ReadBack(f"pitch of {sentence!r}", f0, spoken.f0)


def speaking_cost(voice: VoiceToExport, session: PiperSession, path: Path) -> str:
    """Return a sentence on the size of a file and on its real-time factor on one core of this machine."""
    _, ids = next(_sentence_ids(voice))
    factor = session.real_time_factor(ids.tolist(), own_style(voice), voice.base.settings.sample_rate)
    return (
        f"The file has {path.stat().st_size / 1e6:.1f} MB. On one core of the machine that exported it, a second of "
        f"speech takes {factor:.3f} s (real-time factor {factor:.3f})."
    )


def spectral_loss(voice: VoiceToExport, session: PiperSession) -> str:
    """Return a sentence on how far the spectra of a file's speech are from those of the voice's network."""
    style, speaker = _without_noise(voice), own_speaker(voice)
    distances = []
    for _, ids in _sentence_ids(voice):
        spoken = session.speak(ids.tolist(), style)
        expected, _ = _sound_and_pitch(voice.model, ids, style, speaker, spoken)
        distances.append(log_mel_difference(expected, spoken.waveform, voice.base.settings.sample_rate))
    mean = sum(distances) / len(distances)
    return f"Rounding the weights to 8 bits changes the speech by {mean:.2f} dB on average over 80 bands (log mel)."


def log_mel_difference(first: Any, second: Any, sample_rate: int) -> float:
    """Return the mean difference of two waveforms' log mel spectra in dB, where the louder one is no silence."""
    import torch

    from vtune_vits.network.spectrogram import linear_spectrogram, log_mel

    def levels(sound: Any) -> torch.Tensor:
        magnitudes = linear_spectrogram(torch.as_tensor(sound).cpu().float()[None], SPECTRUM_SAMPLES, SPECTRUM_HOP)
        return DECIBELS_PER_NEPER * log_mel(magnitudes, sample_rate)

    first_levels, second_levels = levels(first), levels(second)
    louder = torch.maximum(first_levels, second_levels)
    audible = louder > louder.max() - SPECTRAL_RANGE_DB
    return float((first_levels - second_levels).abs()[audible].mean())


def exact_frames(network: VitsNetwork, ids: torch.Tensor, style: SpokenStyle, speaker: int) -> torch.Tensor:
    """Return the frames of each symbol that the network predicts without noise, before rounding, float32 ``[L]``."""
    import torch

    mask = torch.ones(1, len(ids), dtype=torch.bool, device=ids.device)
    embedding = network.embed(torch.tensor([speaker], device=ids.device))
    hidden = network.read(ids[None], mask).hidden
    noise = torch.zeros(1, 2, len(ids), device=ids.device)
    return network.predict_log_durations(hidden, mask, embedding, noise)[0].exp() * style.length_scale


def _sound_and_pitch(
    network: Any, ids: torch.Tensor, style: SpokenStyle, speaker: int, file: SpokenByFile
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Speak with the network at the file's durations and pitch; return the sound and the network's own pitch."""
    import torch

    from vtune_vits.network.noise import SpeakingNoise

    with torch.inference_mode():
        durations = torch.as_tensor(file.frames, device=ids.device)
        spoken = network.speak(ids, style, speaker, SpeakingNoise(0), durations)
        if file.f0 is None:
            return spoken.waveform, None
        embedding = network.embed(torch.tensor([speaker], device=ids.device))
        latents, f0 = spoken.latents[None], torch.as_tensor(file.f0, device=ids.device)[None]
        own = network.decoder.filters(latents, embedding).log_f0[0].exp()
        return network.decoder(latents, embedding, f0, style.contrast)[0, 0], own


def own_style(voice: VoiceToExport) -> SpokenStyle:
    """Return how a voice speaks if nobody says otherwise."""
    from vtune_vits.speech import speaking_style

    options: Any = voice.options
    return speaking_style(options, voice.base.settings)


def _without_noise(voice: VoiceToExport) -> SpokenStyle:
    return replace(own_style(voice), noise_scale=0.0, noise_scale_w=0.0)


def _sentence_ids(voice: VoiceToExport) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield some sentences, each with the ids of its symbols, int64 ``[L]``."""
    for sentence, batch in zip(voice.sentences, voice.batches, strict=True):
        yield sentence, batch["input_ids"][0, : int(batch["text_lengths"][0])]
