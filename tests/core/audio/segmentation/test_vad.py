from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from vtune.audio.segmentation import vad
from vtune.audio.segmentation.energy import with_faint_ends
from vtune.audio.segmentation.vad import (
    BATCH_ROWS,
    ROW_WINDOWS,
    WARM_UP_WINDOWS,
    WINDOW_SAMPLES,
    VoiceMeter,
)
from vtune.errors import VtuneError


class Loudness:
    """Replaces the network: its probability is the loudness of the window, and its state counts the calls."""

    def __init__(self) -> None:
        self.calls = 0

    def reset_states(self) -> None:
        self.calls = 0

    def __call__(self, windows: torch.Tensor, rate: int) -> torch.Tensor:
        assert rate == 16_000
        assert windows.shape[1] == WINDOW_SAMPLES
        self.calls += 1
        return windows.abs().amax(dim=1, keepdim=True)


@pytest.fixture
def meter(monkeypatch: pytest.MonkeyPatch) -> VoiceMeter:
    monkeypatch.setattr(vad, "_model", Loudness)
    return VoiceMeter(16_000)


def bursts(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return sound that is on for a second and off for a second, and for each frame of 10 ms whether the sound
    is on.
    """
    on = (np.arange(int(seconds * 100)) // 100) % 2 == 0
    return np.repeat(on, 160).astype(np.float32), on


@pytest.mark.parametrize(
    "seconds", [0.02, 1.0, 7.7, 60.0, 2 * BATCH_ROWS * ROW_WINDOWS * WINDOW_SAMPLES / 16_000 + 3.3]
)
@pytest.mark.parametrize("block", [1000, 1 << 20])
def test_rows_side_by_side_give_each_frame_its_own(meter: VoiceMeter, seconds: float, block: int) -> None:
    sound, on = bursts(seconds)
    for start in range(0, len(sound), block):
        meter.add(sound[start : start + block])
    speech_frames = meter.frames(len(on))
    assert speech_frames.shape == on.shape
    differ = np.flatnonzero(speech_frames != on)
    # A window of 32 ms straddles each change, and nothing else may differ.
    changes = np.flatnonzero(np.diff(on.astype(int))) + 1
    assert all(np.abs(changes - frame).min(initial=10**6) <= 4 for frame in differ)


def test_each_row_begins_early(meter: VoiceMeter) -> None:
    sound, _ = bursts(30)
    meter.add(sound)
    meter.frames(3000)
    assert meter._model.calls == WARM_UP_WINDOWS + ROW_WINDOWS


@pytest.mark.parametrize("count", [0, 50])
def test_nothing_is_no_speech(meter: VoiceMeter, count: int) -> None:
    assert meter.frames(count).tolist() == [False] * count


def test_a_crowd_in_the_pauses_makes_the_network_stricter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vad, "_model", Loudness)
    _, on = bursts(10)
    for pauses, expected in ((~on, on), (np.zeros_like(on), np.ones_like(on)), (None, np.ones_like(on))):
        meter = VoiceMeter(16_000)
        meter._probabilities = [np.where(np.resize(on, 1000), 0.99, 0.6).astype(np.float32)]
        speech_frames = meter.frames(1000, WINDOW_SAMPLES / 16_000, pauses)
        assert (speech_frames[:999] == expected[:999]).all()


def test_faint_ends_are_kept_as_far_as_they_are_loud() -> None:
    speech_frames, loud = np.zeros(200, dtype=bool), np.zeros(200, dtype=bool)
    speech_frames[50:100] = True
    loud[45:110] = loud[120:130] = True
    assert np.flatnonzero(with_faint_ends(speech_frames, loud)).tolist() == list(range(45, 110))
    loud[:] = True
    assert np.flatnonzero(with_faint_ends(speech_frames, loud)).tolist() == list(range(20, 130))
    assert not with_faint_ends(np.zeros(200, dtype=bool), loud).any()


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    with pytest.raises(VtuneError, match=r"vtune-tts\[vad\]"):
        VoiceMeter(16_000)
