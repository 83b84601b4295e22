"""Estimate how natural utterances sound, with a network in an optional package that includes its weights."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from types import ModuleType
from typing import Any, ClassVar

from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.metric_group import MetricGroup
from vtune.evaluation.mos_input import mos_input
from vtune.recipe import Recipe

INSTALL_DISTILLMOS = "pip install --no-deps distillmos xls-r-sqa"
"""Without --no-deps, pip would install torchaudio, which vtune does not use and which may not fit this torch."""


def load_distillmos() -> Any:
    """Load the network on the CPU. :raises ImportError: its packages are not complete."""
    with _no_torchaudio():
        from distillmos import ConvTransformerSQAModel
    with redirect_stdout(io.StringIO()):  # the package prints the path of its weights
        return ConvTransformerSQAModel().eval()


class Naturalness:
    """DistillMOS (Stahl and Gamper, 2025), 1 to 5: what listeners would say. Spreads by 0.45 over clips of one voice.

    :raises VtuneError: the package is not installed.
    """

    specs: ClassVar = (
        MetricSpec("naturalness", "naturalness (DistillMOS, 1 to 5)", "high", headline=True, scale=(1.0, 5.0)),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        try:
            self._model = load_distillmos()
        except ImportError as error:
            # As a requirement it would bring torchaudio, whose wheels are for CUDA only.
            raise VtuneError(f"the metric needs distillmos ({INSTALL_DISTILLMOS})") from error

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Estimate a score for each utterance, one after another."""
        import torch

        with torch.inference_mode():
            sounds = [mos_input(utterance) for utterance in utterances]
            scores = [None if sound is None else self._model(torch.from_numpy(sound)[None]) for sound in sounds]
        return MetricResult({"naturalness": [None if score is None else Ratio(float(score)) for score in scores]})


METRICS = MetricGroup("naturalness", Naturalness, position=50)


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
