from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from vtune.audio.speaker_embedding import ENCODER_RMS, SpeakerEncoder, centre_of, mel_filters, part_starts

RECORDINGS = sorted((Path(__file__).parents[3] / "recipes" / "quickstart" / "heldout").rglob("*.*"))


def recordings(count: int) -> list[tuple[np.ndarray, int]]:
    files = [path for path in RECORDINGS if path.suffix in {".wav", ".flac", ".ogg", ".opus", ".mp3"}][:count]
    return [soundfile.read(path, dtype="float32") for path in files]


def test_the_filters_are_librosas() -> None:
    librosa = pytest.importorskip("librosa")
    assert np.allclose(mel_filters(), librosa.filters.mel(sr=16_000, n_fft=400, n_mels=40), atol=1e-7)


def test_embeddings_are_those_of_resemblyzer() -> None:
    resemblyzer = pytest.importorskip("resemblyzer")
    import soxr

    theirs, ours = resemblyzer.VoiceEncoder("cpu", verbose=False), SpeakerEncoder()
    for waveform, rate in recordings(2):
        for seconds in (0.4, 1.3, 2.9, 6.0):
            part = waveform[: int(seconds * rate)]
            sound = soxr.resample(part, rate, 16_000, quality="HQ")
            sound *= ENCODER_RMS / float(np.sqrt(np.mean(np.square(sound))))
            assert float(theirs.embed_utterance(sound) @ ours.embed(part, rate)) > 0.99999


def test_a_speaker_is_nearer_to_their_own_recordings() -> None:
    """A voice that is played faster is that of another person, by the pitch and the throat alone."""
    encoder = SpeakerEncoder()
    clips = [(waveform[: 4 * rate], rate) for waveform, rate in recordings(5)]
    own = np.stack([encoder.embed(waveform, rate) for waveform, rate in clips])
    other = np.stack([encoder.embed(waveform, round(rate * 1.35)) for waveform, rate in clips])
    centre = centre_of(own)
    assert (own @ centre).min() > (other @ centre).max() + 0.05
    assert np.allclose(np.linalg.norm(own, axis=1), 1, atol=1e-5)


def test_parts_of_a_clip() -> None:
    assert part_starts(1000) == [0]
    assert part_starts(28_800) == [0]
    assert part_starts(35_200) == [0, 77]
    assert part_starts(16_000 * 6)[:3] == [0, 77, 154]
