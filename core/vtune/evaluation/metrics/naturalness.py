"""How natural and how clean takes sound, by models whose weights come inside their packages. Both are optional."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np
import soxr

from vtune.audio import bring_to
from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.recipe import Recipe
from vtune.types import Waveform

RATE = 16_000
"""Hz that both hear."""

LEVEL = -20.0
"""dBFS of the speech that DNSMOS is given: its verdict falls with the level alone (2.5 at -50, 3.2 at -20)."""

SHORTEST = 0.5
"""Seconds; less is no speech to judge."""


class Naturalness:
    """DistillMOS (Stahl and Gamper, 2025), 1 to 5: what listeners would say. Spreads by 0.45 over clips of one voice.

    :raises VtuneError: the package is not there.
    """

    figures = (MetricSpec("naturalness", "naturalness (DistillMOS, 1 to 5)", "high", headline=True),)

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        try:
            with _no_torchaudio():
                from distillmos import ConvTransformerSQAModel
        except ImportError as error:
            # As a requirement it would bring torchaudio, whose wheels are for CUDA only.
            raise VtuneError("it needs distillmos (pip install --no-deps distillmos xls-r-sqa)") from error
        self._model: Any = ConvTransformerSQAModel().eval()

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Judge one by one."""
        import torch

        with torch.inference_mode():
            heard = [_heard(take) for take in takes]
            found = [None if one is None else self._model(torch.from_numpy(one)[None]) for one in heard]
        return MetricResult({"naturalness": [None if one is None else Ratio(float(one)) for one in found]})


class Cleanliness:
    """DNSMOS P.835 (Reddy et al., 2022), 1 to 5: the speech, what is behind it, and both.

    :raises VtuneError: the extra is not installed.
    """

    figures = (
        MetricSpec("clean", "quality (DNSMOS, 1 to 5)", "high", headline=True),
        MetricSpec("clean_speech", "quality of the speech (DNSMOS)", "high"),
        MetricSpec("clean_background", "quality of the background (DNSMOS)", "high"),
    )

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        try:
            from speechmos import dnsmos
        except ImportError as error:
            raise VtuneError("it needs the extra 'quality' (pip install 'vtune-tts[quality]')") from error
        self._run: Any = dnsmos.run

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        """Judge one by one, at the same level."""
        found = [self._one(take) for take in takes]
        keys = zip((figure.name for figure in self.figures), ("ovrl_mos", "sig_mos", "bak_mos"), strict=True)
        return MetricResult({name: [None if one is None else Ratio(one[key]) for one in found] for name, key in keys})

    def _one(self, take: Utterance) -> dict[str, float] | None:
        heard = _heard(take)
        if heard is None:
            return None
        verdict = self._run(np.clip(bring_to(heard, RATE, LEVEL), -1, 1), RATE)
        return {key: float(mean) for key, mean in verdict.items()}


def _heard(take: Utterance) -> Waveform | None:
    if take.seconds < SHORTEST or not np.any(take.waveform):
        return None
    return np.asarray(soxr.resample(take.waveform, take.sample_rate, RATE), dtype=np.float32)


@contextmanager
def _no_torchaudio() -> Iterator[None]:
    """Let a module be imported that only its own command line needs torchaudio for."""
    if "torchaudio" in sys.modules:
        yield
        return
    sys.modules["torchaudio"] = ModuleType("torchaudio")
    try:
        yield
    finally:
        del sys.modules["torchaudio"]
