"""Find speech with Silero's voice activity detector (the extra ``vad``), which separates voices from music and noise.

The network reads 32 ms at a time and keeps a state. Most of its time goes into the calls, so about three minutes of
sound are read as a batch of rows. Each row begins one second early, so that the state of the network settles.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vtune.audio.segmentation.segments import FRAME_SECONDS
from vtune.errors import VtuneError

VAD_SAMPLE_RATE = 16_000

WINDOW_SAMPLES = 512
"""Samples of one call of the network, 32 ms."""

BATCH_ROWS = 32
ROW_WINDOWS = 160
"""Windows of a row whose results are used: 32 rows of 5.1 s are nearly three minutes and 10 MB.

More rows take more memory, fewer rows take more time.
"""

WARM_UP_WINDOWS = 32
"""Windows that a row begins early: one second."""

SPEECH_START_PROBABILITY, SPEECH_END_PROBABILITY = 0.5, 0.35
"""Speech begins above the first probability and ends below the second."""

CROWD_START_PROBABILITY, CROWD_END_PROBABILITY = 0.97, 0.9
"""The same where other people talk in the background: the network hears speech in the pauses, with less certainty."""

MAX_PAUSE_PROBABILITY = 0.35
"""A higher probability in the pauses, in the median, is a crowd. Without one it is at most 0.04."""


class VoiceMeter:
    """Measures a recording block by block: one probability of speech for each window.

    :raises VtuneError: the extra is not installed.
    """

    def __init__(self, sample_rate: int) -> None:
        self._model = _model()
        self._stream = soxr.ResampleStream(sample_rate, VAD_SAMPLE_RATE, 1, dtype="float32", quality="MQ")
        self._before = np.zeros(WARM_UP_WINDOWS * WINDOW_SAMPLES, dtype=np.float32)
        self._waiting: list[np.ndarray] = []
        self._count = 0
        self._probabilities: list[np.ndarray] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take mono samples ``[n]``."""
        self._keep(self._stream.resample_chunk(block))
        while self._count >= BATCH_ROWS * ROW_WINDOWS * WINDOW_SAMPLES:
            sound = np.concatenate(self._waiting)
            self._waiting = [sound[BATCH_ROWS * ROW_WINDOWS * WINDOW_SAMPLES :]]
            self._count = len(self._waiting[0])
            self._read(sound[: BATCH_ROWS * ROW_WINDOWS * WINDOW_SAMPLES])

    def frames(
        self, count: int, frame: float = FRAME_SECONDS, pauses: NDArray[np.bool_] | None = None
    ) -> NDArray[np.bool_]:
        """End the recording and return which of ``count`` frames of ``frame`` seconds hold speech; call it once.

        :param pauses: which frames are pauses by their level; speech in them is a crowd in the background.
        """
        self._keep(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        sound = np.concatenate([*self._waiting, np.zeros(0, dtype=np.float32)])
        padded_length = -(-len(sound) // (ROW_WINDOWS * WINDOW_SAMPLES)) * ROW_WINDOWS * WINDOW_SAMPLES
        self._read(np.pad(sound, (0, padded_length - len(sound))))
        windows = np.concatenate([*self._probabilities, np.zeros(1, dtype=np.float32)])
        probabilities = windows[
            np.minimum((np.arange(count) * frame * VAD_SAMPLE_RATE / WINDOW_SAMPLES).astype(int), len(windows) - 1)
        ]
        if pauses is not None and pauses.any() and np.median(probabilities[pauses]) > MAX_PAUSE_PROBABILITY:
            return _hysteresis(probabilities, CROWD_START_PROBABILITY, CROWD_END_PROBABILITY)
        return _hysteresis(probabilities, SPEECH_START_PROBABILITY, SPEECH_END_PROBABILITY)

    def _keep(self, sound: NDArray[np.float32]) -> None:
        self._waiting.append(sound)
        self._count += len(sound)

    def _read(self, sound: NDArray[np.float32]) -> None:
        """Run the network over whole rows, one window of each row at a time."""
        import torch

        if not len(sound):
            return
        longer = np.concatenate([self._before, sound])
        self._before = longer[-WARM_UP_WINDOWS * WINDOW_SAMPLES :]
        starts = np.arange(0, len(sound), ROW_WINDOWS * WINDOW_SAMPLES)
        rows = torch.from_numpy(
            np.stack([longer[start : start + (WARM_UP_WINDOWS + ROW_WINDOWS) * WINDOW_SAMPLES] for start in starts])
        )
        self._model.reset_states()
        with torch.inference_mode():
            outputs = [
                self._model(window, VAD_SAMPLE_RATE)[:, 0] for window in torch.split(rows, WINDOW_SAMPLES, dim=1)
            ]
        self._probabilities.append(torch.stack(outputs[WARM_UP_WINDOWS:], dim=1).flatten().numpy())


def _hysteresis(probabilities: NDArray[np.float32], start: float, end: float) -> NDArray[np.bool_]:
    """Return which frames are speech, bool [frames]: it begins above one probability and ends below the other."""
    speaking, mask = False, np.zeros(len(probabilities), dtype=bool)
    for index, probability in enumerate(probabilities.tolist()):
        speaking = probability > (end if speaking else start)
        mask[index] = speaking
    return mask


def _model() -> Any:
    try:
        import silero_vad  # noqa: F401
    except ImportError as error:
        raise VtuneError("vad needs the package silero-vad: install it with pip install 'vtune-tts[vad]'") from error
    return _load_model()


@cache  # short recordings take less time than loading, and each batch of rows resets the state of the network
def _load_model() -> Any:
    import torch
    from silero_vad import load_silero_vad

    threads = torch.get_num_threads()
    model = load_silero_vad()
    torch.set_num_threads(threads)  # loading the model sets one thread for the whole process
    return model
