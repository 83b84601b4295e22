"""Where speech is, by Silero's voice activity detector (the extra ``vad``): it tells voices from music and noise.

The network reads 32 ms at a time and keeps a state, which makes it slow: most of its time goes into calling it. So some
minutes of sound are read as rows that run side by side, each begun a second early to come into its state.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME
from vtune.errors import VtuneError

RATE = 16_000
WINDOW = 512
"""Samples that the network takes at once, 32 ms."""

ROWS = 32
ROW = 160
"""Windows of a row that count: 32 rows of 5.1 s are nearly three minutes, 10 MB; more rows cost memory, fewer time."""

EARLY = 32
"""Windows that a row begins early: a second."""

ON, OFF = 0.5, 0.35
"""Probabilities above which speech begins, and below which it ends."""

FAINT = 30
"""Frames that speech may go on, too faint for the network, before where it begins and behind where it ends."""


class VoiceMeter:
    """Takes a recording block by block and keeps one probability of speech a window.

    :raises VtuneError: the extra is not installed.
    """

    def __init__(self, sample_rate: int) -> None:
        self._model = _model()
        self._stream = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="MQ")
        self._before = np.zeros(EARLY * WINDOW, dtype=np.float32)
        self._waiting: list[np.ndarray] = []
        self._count = 0
        self._probabilities: list[np.ndarray] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take mono samples ``[n]``."""
        self._keep(self._stream.resample_chunk(block))
        while self._count >= ROWS * ROW * WINDOW:
            sound = np.concatenate(self._waiting)
            self._waiting = [sound[ROWS * ROW * WINDOW :]]
            self._count = len(self._waiting[0])
            self._read(sound[: ROWS * ROW * WINDOW])

    def frames(self, count: int, frame: float = FRAME) -> NDArray[np.bool_]:
        """End the recording, once; tell which of ``count`` frames of so many seconds hold speech."""
        self._keep(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        sound = np.concatenate([*self._waiting, np.zeros(0, dtype=np.float32)])
        whole = -(-len(sound) // (ROW * WINDOW)) * ROW * WINDOW
        self._read(np.pad(sound, (0, whole - len(sound))))
        mask = _hysteresis(np.concatenate([*self._probabilities, np.zeros(1, dtype=np.float32)]))
        heard = mask[np.minimum((np.arange(count) * frame * RATE / WINDOW).astype(int), len(mask) - 1)]
        return np.asarray(heard)

    def _keep(self, sound: NDArray[np.float32]) -> None:
        self._waiting.append(sound)
        self._count += len(sound)

    def _read(self, sound: NDArray[np.float32]) -> None:
        """Read whole rows, one window of each at a time."""
        import torch

        if not len(sound):
            return
        longer = np.concatenate([self._before, sound])
        self._before = longer[-EARLY * WINDOW :]
        starts = np.arange(0, len(sound), ROW * WINDOW)
        rows = torch.from_numpy(np.stack([longer[start : start + (EARLY + ROW) * WINDOW] for start in starts]))
        self._model.reset_states()
        with torch.inference_mode():
            read = [self._model(window, RATE)[:, 0] for window in torch.split(rows, WINDOW, dim=1)]
        self._probabilities.append(torch.stack(read[EARLY:], dim=1).flatten().numpy())


def with_faint_ends(heard: NDArray[np.bool_], loud: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen what the network heard over the frames beside it whose level is that of speech.

    :param loud: what levels tell of the same frames.
    """
    wide = heard.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], heard.astype(np.int8), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        before, behind = loud[max(0, start - FAINT) : start][::-1], loud[end : end + FAINT]
        wide[start - _run(before) : start] = True
        wide[end : end + _run(behind)] = True
    return wide


def _run(mask: NDArray[np.bool_]) -> int:
    """How many frames are true before the first that is not."""
    return len(mask) if mask.all() else int(np.argmin(mask))


def _hysteresis(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    speaking, mask = False, np.zeros(len(probabilities), dtype=bool)
    for place, probability in enumerate(probabilities.tolist()):
        speaking = probability > (OFF if speaking else ON)
        mask[place] = speaking
    return mask


def _model() -> Any:
    try:
        from silero_vad import load_silero_vad
    except ImportError as error:
        raise VtuneError("--vad needs Silero's detector: install vtune-tts with the extra 'vad'") from error
    import torch

    threads = torch.get_num_threads()
    model = load_silero_vad()
    torch.set_num_threads(threads)  # loading it sets one thread for the whole process
    return model
