"""The engine learns: a tuned voice sounds more like its recordings than the base does."""

from pathlib import Path

import numpy as np
import vtune
from vtune.testing import MadeSpeaker, write_recordings

from language_model_engine.codec import SAMPLE_RATE, encode

TEXT = "a lion sees the moon"


def test_a_voice_takes_on_the_pitch_and_the_spectrum_of_its_recordings(tmp_path: Path) -> None:
    speaker = MadeSpeaker(pitch=220.0, formant_scale=1.25)  # a child; the recordings of the recipe are a man's
    changes = {
        "voice": "child",
        "data.0.source": str(write_recordings(tmp_path / "recordings", speaker, SAMPLE_RATE)),
        "folders.runs": str(tmp_path / "runs"),
        "folders.voices": str(tmp_path / "voices"),
        "evaluate.clips": 0,
    }
    (voice,) = vtune.run("language-model-engine", changes)
    tuned, base = voice.say(TEXT), voice.say(TEXT, untuned=True)

    recorded = encode(speaker.speak(TEXT, SAMPLE_RATE))
    assert abs(pitch(encode(tuned.waveform)) - pitch(recorded)) <= 1  # semitone
    distances = [np.abs(loudness(encode(sound.waveform)) - loudness(recorded)).mean() for sound in (tuned, base)]
    assert distances[0] < 0.5 * distances[1], f"distance to the recordings: voice {distances[0]}, base {distances[1]}"


def pitch(codes: np.ndarray) -> float:
    """Return the median pitch in semitones."""
    return float(np.median(codes[codes[:, 0] > 0, 0]))


def loudness(codes: np.ndarray) -> np.ndarray:
    """Return the mean level of each band, ``[5]``."""
    return codes[:, 1:].mean(axis=0)
