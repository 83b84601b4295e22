"""Find speech with Silero's voice activity detector (the extra ``vad``), which separates voices from music and noise.

The network reads 32 ms at a time and keeps a state. Most of its time goes into the calls, so about three minutes of
sound are read as a batch of rows. Each row begins one second early, so that the state of the network settles.
"""

from __future__ import annotations

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

MAX_FAINT_FRAMES = 30
"""Most frames of faint speech, which the network misses, before and after the speech that it finds."""


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

    def frames(self, count: int, frame: float = FRAME_SECONDS) -> NDArray[np.bool_]:
        """End the recording and return which of ``count`` frames of ``frame`` seconds hold speech; call it once."""
        self._keep(self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
        sound = np.concatenate([*self._waiting, np.zeros(0, dtype=np.float32)])
        whole = -(-len(sound) // (ROW_WINDOWS * WINDOW_SAMPLES)) * ROW_WINDOWS * WINDOW_SAMPLES
        self._read(np.pad(sound, (0, whole - len(sound))))
        mask = _hysteresis(np.concatenate([*self._probabilities, np.zeros(1, dtype=np.float32)]))
        is_speech = mask[
            np.minimum((np.arange(count) * frame * VAD_SAMPLE_RATE / WINDOW_SAMPLES).astype(int), len(mask) - 1)
        ]
        return np.asarray(is_speech)

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


def with_faint_ends(is_speech: NDArray[np.bool_], loud: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Widen the speech that the network found over the neighbouring frames with the level of speech, bool [frames].

    :param loud: which of the frames have the level of speech.
    """
    wide = is_speech.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[0], is_speech.astype(np.int8), [0]])))
    for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        before, after = loud[max(0, start - MAX_FAINT_FRAMES) : start][::-1], loud[end : end + MAX_FAINT_FRAMES]
        wide[start - _run_length(before) : start] = True
        wide[end : end + _run_length(after)] = True
    return wide


def _run_length(mask: NDArray[np.bool_]) -> int:
    """Return how many frames are true before the first false one."""
    return len(mask) if mask.all() else int(np.argmin(mask))


def _hysteresis(probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
    speaking, mask = False, np.zeros(len(probabilities), dtype=bool)
    for index, probability in enumerate(probabilities.tolist()):
        speaking = probability > (SPEECH_END_PROBABILITY if speaking else SPEECH_START_PROBABILITY)
        mask[index] = speaking
    return mask


def _model() -> Any:
    try:
        from silero_vad import load_silero_vad
    except ImportError as error:
        raise VtuneError("--vad needs the package silero-vad: install it with pip install 'vtune-tts[vad]'") from error
    import torch

    threads = torch.get_num_threads()
    model = load_silero_vad()
    torch.set_num_threads(threads)  # loading the model sets one thread for the whole process
    return model
