"""Speaking: predict the durations, follow the flow from noise to a spectrogram, compute the sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import vtune
from torch import nn

from acoustic_engine.network import gather, positions_of
from acoustic_engine.spectrogram import HOP_SAMPLES, MEL_COUNT, SAMPLE_RATE, sound_of
from acoustic_engine.text import ALPHABET, SENTENCE_END, characters


@dataclass(frozen=True, slots=True)
class SpeakingStyle:
    """How a text is spoken.

    :param rms: loudness, 0 to 1.
    :param flow_steps: from noise to the spectrogram.
    :param pace: multiplies the durations.
    """

    rms: float
    flow_steps: int
    pace: float


def speak(model: nn.Module, text: str, style: SpeakingStyle, seed: int) -> Iterator[vtune.Audio]:
    """Yield the sound of each sentence; its length is known before it is computed."""
    for index, sentence in enumerate(SENTENCE_END.split(text)):
        yield speak_sentence(model, sentence, style, seed + index)


def speak_sentence(network: Any, sentence: str, style: SpeakingStyle, seed: int) -> vtune.Audio:
    """Speak one sentence.

    Random numbers are drawn on the CPU, so that a seed gives the same sound on every device.

    :param network: an ``AcousticNetwork``, or a PEFT model around one, which has the same attributes.
    """
    device = network.characters.weight.device
    generator = torch.Generator().manual_seed(seed)
    letters = torch.as_tensor(characters(sentence), dtype=torch.long, device=device)[None]  # [1 x L]
    hidden, log_durations = network.read(letters, letters.ge(0))
    durations = (style.pace * log_durations.float().exp()).round().clamp(1, 62).long()  # [1 x L]; at most a second
    frame_count = int(durations.sum())
    hidden = gather(hidden, positions_of(durations, frame_count))
    mask = torch.ones(1, frame_count, dtype=torch.bool, device=device)
    mel = torch.randn(frame_count, MEL_COUNT, generator=generator).to(device)[None]  # [1 x T x 64]
    for step in range(style.flow_steps):
        time = torch.full((1, 1, 1), step / style.flow_steps, device=device)
        # A straight line to the expected spectrogram would reach it in all steps that are left.
        mel += (network.write(mel, time, hidden, mask).float() - mel) / (style.flow_steps - step)
    waveform = sound_of(mel[0].cpu(), generator).numpy()
    loudness = np.sqrt(np.mean(np.square(waveform)))
    waveform = np.clip(waveform * (style.rms / max(loudness, 1e-9)), -1, 1).astype(np.float32)
    words = word_times(letters[0].tolist(), durations[0].tolist())
    return vtune.Audio(waveform, SAMPLE_RATE, vtune.Ending.PLANNED, words)


def word_times(letters: list[int], durations: list[int]) -> tuple[vtune.WordTime, ...]:
    """Return the time of each word, from the durations of its letters.

    ``word_times([0, 1, 0], [2, 3, 4])`` is the word ``a`` from 0.032 s to 0.08 s.
    """
    times: list[vtune.WordTime] = []
    word, start, end = "", 0.0, 0.0
    for letter, duration in zip([*letters, 0], [*durations, 0], strict=True):
        if letter == 0 and word:
            times.append(vtune.WordTime(word, start, end))
            word = ""
        elif letter:
            start = start if word else end
            word += ALPHABET[letter]
        end += duration * HOP_SAMPLES / SAMPLE_RATE
    return tuple(times)
