"""Estimate how clean utterances sound, with a network in an optional package that includes its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from vtune.audio import bring_to
from vtune.contract.metrics import MetricResult, MetricSpec, Ratio, TestSet, Utterance
from vtune.errors import VtuneError
from vtune.evaluation.metric_group import MetricGroup
from vtune.evaluation.mos_input import MOS_SAMPLE_RATE, mos_input
from vtune.recipe import Recipe

INPUT_LEVEL_DBFS = -20.0
"""Level of the speech that DNSMOS is given: its score falls with the level alone (2.5 at -50, 3.2 at -20)."""

_MOS_SCALE = (1.0, 5.0)


class Dnsmos:
    """DNSMOS P.835 (Reddy et al., 2022), 1 to 5: the speech, the background, and both together.

    :raises VtuneError: the extra is not installed.
    """

    specs: ClassVar = (
        MetricSpec("dnsmos_overall", "quality of the sound (DNSMOS, 1 to 5)", "high", headline=True, scale=_MOS_SCALE),
        MetricSpec("dnsmos_speech", "quality of the speech (DNSMOS)", "high", scale=_MOS_SCALE),
        MetricSpec("dnsmos_background", "quality of the background (DNSMOS)", "high", scale=_MOS_SCALE),
    )

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        try:
            from speechmos import dnsmos
        except ImportError as error:
            raise VtuneError("the metric needs the extra 'quality' (pip install 'vtune-tts[quality]')") from error
        self._run: Any = dnsmos.run

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        """Estimate three scores for each utterance, all at the same level."""
        rows = [self._scores(utterance) for utterance in utterances]
        keys = zip((spec.name for spec in self.specs), ("ovrl_mos", "sig_mos", "bak_mos"), strict=True)
        return MetricResult({name: [None if row is None else Ratio(row[key]) for row in rows] for name, key in keys})

    def _scores(self, utterance: Utterance) -> dict[str, float] | None:
        sound = mos_input(utterance)
        if sound is None:
            return None
        levelled = np.clip(bring_to(sound, MOS_SAMPLE_RATE, INPUT_LEVEL_DBFS), -1, 1)
        return {key: float(mean) for key, mean in self._run(levelled, MOS_SAMPLE_RATE).items()}


METRICS = MetricGroup("dnsmos", Dnsmos, position=60)
