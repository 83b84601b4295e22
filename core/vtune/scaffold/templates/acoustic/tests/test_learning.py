"""The engine learns: a tuned voice sounds more like its recordings than the base does."""

from pathlib import Path

import numpy as np
import torch
import vtune
from vtune.testing import MadeSpeaker, write_recordings

from acoustic_engine.spectrogram import SAMPLE_RATE, mel_spectrogram

TEXT = "a lion sees the moon"


def test_a_voice_takes_on_the_spectrum_and_the_pace_of_its_recordings(tmp_path: Path) -> None:
    speaker = MadeSpeaker(pitch=220.0, formant_scale=1.25)  # a child; the recordings of the recipe are a man's
    changes = {
        "voice": "child",
        "data.0.source": str(write_recordings(tmp_path / "recordings", speaker, SAMPLE_RATE)),
        "folders.runs": str(tmp_path / "runs"),
        "folders.voices": str(tmp_path / "voices"),
        "evaluate.clips": 0,
    }
    (voice,) = vtune.run("acoustic-engine", changes)
    tuned, base = voice.say(TEXT), voice.say(TEXT, untuned=True)

    recorded = speaker.speak(TEXT, SAMPLE_RATE)
    assert 0.8 < tuned.seconds / (len(recorded) / SAMPLE_RATE) < 1.25
    distances = [np.abs(spectrum(sound.waveform) - spectrum(recorded)).mean() for sound in (tuned, base)]
    assert distances[0] < 0.5 * distances[1], f"distance to the recordings: voice {distances[0]}, base {distances[1]}"


def spectrum(waveform: np.ndarray) -> np.ndarray:
    """Return the mean of the spectrogram over time, ``[64]``."""
    return mel_spectrogram(torch.from_numpy(waveform)).mean(0).numpy()
