"""Where speech is, by Silero's voice activity detector (the extra ``vad``): it tells voices from music and noise.

The network reads 32 ms at a time and keeps a state, so a recording goes through it as a stream, whatever its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from vtune.errors import VtuneError
from vtune.split.segments import FRAME

RATE = 16_000
WINDOW = 512
"""Samples that the network takes at once, 32 ms."""

ON, OFF = 0.5, 0.35
"""Probabilities above which speech begins, and below which it ends."""

DECAY = 0.06
"""Seconds that speech goes on, inaudible to the network, behind where it thinks it ends, and before where it begins."""


class VoiceMeter:
    """Takes a recording block by block and keeps one probability of speech a window.

    :raises VtuneError: the extra is not installed.
    """

    def __init__(self, sample_rate: int) -> None:
        self._model = _model()
        self._model.reset_states()
        self._stream = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32", quality="MQ")
        self._rest = np.zeros(0, dtype=np.float32)
        self._probabilities: list[float] = []

    def add(self, block: NDArray[np.float32]) -> None:
        """Take mono samples ``[n]``."""
        self._take(self._stream.resample_chunk(block))

    def frames(self, count: int) -> NDArray[np.bool_]:
        """End the recording; tell which of ``count`` frames of 10 ms hold speech."""
        rest = self._stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
        self._take(np.concatenate([rest, np.zeros(WINDOW - 1, dtype=np.float32)]))
        speaking, mask = False, np.zeros(len(self._probabilities), dtype=bool)
        for place, probability in enumerate(self._probabilities):
            speaking = probability > (OFF if speaking else ON)
            mask[place] = speaking
        windows = np.minimum((np.arange(count) * FRAME * RATE / WINDOW).astype(int), max(len(mask) - 1, 0))
        heard = mask[windows] if len(mask) else np.zeros(count, dtype=bool)
        reach = round(DECAY / FRAME)
        widened = np.convolve(heard, np.ones(2 * reach + 1), "same") if count > 2 * reach else heard
        return np.asarray(widened > 0)

    def _take(self, sound: NDArray[np.float32]) -> None:
        import torch

        sound = np.concatenate([self._rest, sound])
        whole = len(sound) // WINDOW * WINDOW
        self._rest = sound[whole:]
        with torch.inference_mode():
            for window in torch.from_numpy(sound[:whole]).view(-1, WINDOW):
                self._probabilities.append(float(self._model(window, RATE)))


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
