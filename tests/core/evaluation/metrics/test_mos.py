from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest

from vtune.errors import VtuneError
from vtune.evaluation import TestSet, Utterance
from vtune.evaluation.metrics.dnsmos import Dnsmos
from vtune.evaluation.metrics.naturalness import Naturalness
from vtune.recipe import Recipe

RATE = 16_000


@pytest.mark.parametrize(
    ("judge", "package", "advice"),
    [(Naturalness, "distillmos", "--no-deps distillmos"), (Dnsmos, "speechmos", "extra 'quality'")],
)
def test_without_its_package_it_says_what_to_do(
    judge: type, package: str, advice: str, toy: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(VtuneError, match=advice):
        judge(TestSet([], []), toy())
    assert "torchaudio" not in sys.modules


def test_dnsmos_is_asked_at_one_level(
    toy: Callable[..., Recipe], utterance: Callable[..., Utterance], monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds: list[np.ndarray] = []

    class Module:
        class dnsmos:
            @staticmethod
            def run(sound: np.ndarray, rate: int) -> dict[str, float]:
                assert rate == RATE
                sounds.append(sound)
                return {"ovrl_mos": 3.0, "sig_mos": 3.5, "bak_mos": 4.0}

    monkeypatch.setitem(sys.modules, "speechmos", Module)
    sound = np.random.default_rng(0).normal(0, 0.02, 2 * RATE).astype(np.float32)
    utterances = [utterance("a", sound=sound), utterance("a", sound=sound * 0.1), utterance("a", sound=sound[:100])]
    result = Dnsmos(TestSet([], []), toy()).measure(utterances).values
    assert [ratio and ratio.numerator for ratio in result["dnsmos_overall"]] == [3.0, 3.0, None]
    first, second = (20 * np.log10(np.sqrt(np.mean(np.square(sound)))) for sound in sounds)
    assert first == pytest.approx(second, abs=0.1)
