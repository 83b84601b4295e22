"""Read an exported voice back with ONNX Runtime, and speak with it as Piper's programs do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import VtuneError
from vtune_vits.export.source_filter_graph import PITCH_NODE

if TYPE_CHECKING:
    from vtune_vits.network.speaking import SpokenStyle

EXTRA_HINT = "install vtune-tts with the extra 'vits' (pip install 'vtune-tts[vits]')"


@dataclass(frozen=True, slots=True)
class SpokenByFile:
    """One text that an exported voice spoke.

    :param waveform: float32 ``[samples]``.
    :param exact_frames: predicted frames of each symbol before rounding, float32 ``[L]``.
    :param frames: int64 ``[L]``.
    :param f0: the pitch of each frame in Hz, float32 ``[T]``; None for a vocoder that does not state it.
    """

    waveform: np.ndarray
    exact_frames: np.ndarray
    frames: np.ndarray
    f0: np.ndarray | None


class PiperSession:
    """An exported voice in ONNX Runtime on one core."""

    def __init__(self, path: Path) -> None:
        """:raises VtuneError: onnx or onnxruntime is not installed. Other errors are those of ONNX Runtime."""
        onnx, onnxruntime = require_onnx()
        model = onnx.load(path)
        rounding = next(node for node in model.graph.node if node.op_type == "Ceil")
        pitch = [node.output[0] for node in model.graph.node if node.name == PITCH_NODE]
        self._outputs = ["output", rounding.input[0], rounding.output[0], *pitch]
        for name in self._outputs[1:]:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._has_speakers = any(value.name == "sid" for value in self._session.get_inputs())

    def speak(self, ids: Sequence[int], style: SpokenStyle, speaker: int = 0) -> SpokenByFile:
        """Speak one text, given as the ids of its symbols."""
        inputs: dict[str, Any] = {
            "input": np.asarray([ids], np.int64),
            "input_lengths": np.asarray([len(ids)], np.int64),
            "scales": np.asarray([style.noise_scale, style.length_scale, style.noise_scale_w], np.float32),
        }
        if self._has_speakers:
            inputs["sid"] = np.asarray([speaker], np.int64)
        sound, exact_frames, frames, *f0 = self._session.run(self._outputs, inputs)
        return SpokenByFile(
            sound[0, 0, 0], exact_frames[0, 0], frames[0, 0].astype(np.int64), f0[0][0, 0] if f0 else None
        )

    def real_time_factor(self, ids: Sequence[int], style: SpokenStyle, sample_rate: int, repeats: int = 3) -> float:
        """Return the seconds of work for one second of sound on one core, the best of some repeats."""
        factors = []
        for _ in range(repeats):
            started = time.thread_time()
            spoken = self.speak(ids, style)
            factors.append((time.thread_time() - started) * sample_rate / len(spoken.waveform))
        return min(factors)


def require_onnx() -> tuple[Any, Any]:
    """Return the packages onnx and onnxruntime. :raises VtuneError: one of them is not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise VtuneError(f"--to piper writes ONNX files and reads them back: {EXTRA_HINT} ({error})") from error
    return onnx, onnxruntime
