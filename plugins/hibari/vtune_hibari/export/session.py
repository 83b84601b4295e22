"""Compute with an exported voice in ONNX Runtime, and make its sound as the package does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vtune import VtuneError
from vtune_hibari.bases.package import EXTRA_HINT
from vtune_hibari.network.settings import SAMPLE_RATE

if TYPE_CHECKING:
    import onnx
    import torch

SPECTRA = ("lh", "theta", "ln", "lr", "phi")
"""Outputs of a published file, in the order of `SpectralParts`, each ``[1 x 601 x F]``."""


@dataclass(frozen=True, slots=True)
class ComputedByFile:
    """What a file computes for one sentence.

    :param parts: spectral parts, float32 ``[5 x F x 601]``.
    :param f0: Hz, float32 ``[F]``.
    :param durations: steps of each symbol, int64 ``[L]``.
    """

    parts: np.ndarray
    f0: np.ndarray
    durations: np.ndarray


class HibariSession:
    """A voice in ONNX Runtime on one core."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """:raises VtuneError: onnx or onnxruntime is not installed. Other errors are those of ONNX Runtime."""
        onnx, onnxruntime = require_onnx()
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        rounding = next(node for node in copy.graph.node if node.op_type == "Round")
        # Every step counts at least once; the operation behind the rounding sees to that.
        limited = next(node for node in copy.graph.node if rounding.output[0] in node.input)
        self._outputs = [*SPECTRA, "f0", limited.output[0]]
        copy.graph.output.append(onnx.helper.make_empty_tensor_value_info(limited.output[0]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3  # warnings about initialisers that no operation uses
        self._session = onnxruntime.InferenceSession(
            copy.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def compute(self, ids: Sequence[int], speed: float = 1.0) -> ComputedByFile:
        """Compute one sentence, given as the numbers of its symbols."""
        inputs = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
        *parts, f0, durations = self._session.run(self._outputs, inputs)
        spectra = np.stack([part[0].T for part in parts])
        return ComputedByFile(spectra, f0[0], np.asarray(durations).reshape(-1).astype(np.int64))

    def speak(self, ids: Sequence[int], seed: int = 0) -> torch.Tensor:
        """Speak one sentence, float32 ``[samples]``."""
        import torch

        from vtune_hibari.network.decoder import SpectralParts
        from vtune_hibari.network.sound import synthesise
        from vtune_hibari.network.speaking import speaking_noise

        computed = self.compute(ids)
        parts = SpectralParts(*torch.from_numpy(computed.parts)[:, None])
        frames = len(computed.f0)
        f0 = torch.from_numpy(computed.f0)[None]
        return synthesise(parts, f0, speaking_noise(seed, frames)[None], torch.tensor([frames]))[0]

    def real_time_factor(self, ids: Sequence[int], repeats: int = 3) -> float:
        """Return the seconds of work for one second of sound on one core, the best of some repeats."""
        factors = []
        for _ in range(repeats):
            started = time.thread_time()
            waveform = self.speak(ids)
            factors.append((time.thread_time() - started) * SAMPLE_RATE / len(waveform))
        return min(factors)


def load_graph(path: Path) -> onnx.ModelProto:
    """Return the graph of a file. :raises VtuneError: onnx is not installed."""
    package, _ = require_onnx()
    return package.load(path)


def require_onnx() -> tuple[Any, Any]:
    """Return the packages onnx and onnxruntime. :raises VtuneError: one of them is not installed."""
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise VtuneError(f"--to onnx writes an ONNX file and reads it back: {EXTRA_HINT} ({error})") from error
    return onnx, onnxruntime
