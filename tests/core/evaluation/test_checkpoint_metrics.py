"""Checkpoints are measured with metrics that need no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vtune import pipeline
from vtune.errors import VtuneError
from vtune.evaluation import (
    MetricResult,
    MetricSpec,
    Ratio,
    TestSet,
    Utterance,
    load_checkpoint_metrics,
    metric_registry,
)
from vtune.evaluation.checkpoint_metrics import _share_sentences
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.types import Clip
from vtune.voices.speech import LoadedVoice, open_voice


class Counts:
    """Counts how often a metric is made."""

    made = 0

    def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
        type(self).made += 1


class Words(Counts):
    specs = (MetricSpec("wer", "wrong words", "low", "%"),)

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        return MetricResult({"wer": [Ratio(1, len(utterance.text.split())) for utterance in utterances]})


class Likeness(Counts):
    specs = (MetricSpec("speaker_similarity", "similarity", "high", scale=(0.0, 1.0)),)

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        return MetricResult({"speaker_similarity": [Ratio(0.5) for _ in utterances]})


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(metric_registry.METRICS, "intelligibility", Words)
    monkeypatch.setitem(metric_registry.METRICS, "speaker", Likeness)
    Counts.made = Words.made = Likeness.made = 0


@pytest.fixture
def voice(toy: Callable[..., Recipe]) -> LoadedVoice:
    (folder,) = pipeline.run(toy(evaluate={"checkpoint_sentences": 0}))
    return open_voice(VoiceFolder(folder.path), "cpu")


def test_a_checkpoint_is_measured_by_words_and_similarity(
    judged: None, toy: Callable[..., Recipe], voice: LoadedVoice, clip: Callable[..., Clip]
) -> None:
    recipe = toy(evaluate={"sentences": ["one two"], "checkpoint_sentences": 2})
    test_set = TestSet(["four words are here", "unused"], [clip("four words are here")])
    asked: list[str] = []

    def keep(name: str) -> Any:
        asked.append(name)
        return voice.conditioning

    listen = load_checkpoint_metrics(voice.engine, voice.base, recipe, {"ann": test_set}, keep)
    assert listen is not None
    for _ in range(2):
        evaluated = listen(voice.model)
    # One wrong word of two, and of four.
    assert evaluated.metrics["wer"] == pytest.approx(2 / 6)
    assert evaluated.metrics["quality"] == pytest.approx((1 - 2 / 6) * 0.5)
    assert [name for name, _, _ in evaluated.sounds] == ["01", "02"]
    assert all(len(sound) for _, sound, _ in evaluated.sounds)
    assert asked == ["ann", "ann"]
    assert (Words.made, Likeness.made) == (1, 1)


def test_without_both_metrics_the_loss_chooses(
    judged: None, toy: Callable[..., Recipe], voice: LoadedVoice, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    class Missing(Words):
        def __init__(self, test_set: TestSet, recipe: Recipe) -> None:
            raise VtuneError("no weights of Whisper are here")

    monkeypatch.setitem(metric_registry.METRICS, "intelligibility", Missing)
    with caplog.at_level("INFO", "vtune"):
        result = load_checkpoint_metrics(
            voice.engine, voice.base, toy(), {"a": TestSet(["a"], [])}, lambda _: voice.conditioning
        )
    assert result is None
    assert (
        "Checkpoints cannot be chosen by (1 - wer) x speaker_similarity, so the last checkpoint becomes the voice: "
        "wer cannot be measured here: no weights of Whisper are here"
    ) in caplog.text


def test_zero_sentences_ask_nobody(judged: None, toy: Callable[..., Recipe], voice: LoadedVoice) -> None:
    recipe = toy(evaluate={"checkpoint_sentences": 0})
    assert (
        load_checkpoint_metrics(voice.engine, voice.base, recipe, {"a": TestSet([], [])}, lambda _: voice.conditioning)
        is None
    )
    assert Words.made == 0


@pytest.mark.parametrize(
    ("count", "voices", "shares"), [(4, 1, [4]), (4, 3, [2, 1, 1]), (2, 3, [1, 1]), (7, 2, [4, 3])]
)
def test_sentences_are_share_sentences(toy: Callable[..., Recipe], count: int, voices: int, shares: list[int]) -> None:
    recipe = toy(evaluate={"sentences": ["own"], "checkpoint_sentences": count})
    materials = {f"v{number}": TestSet([f"t{text}" for text in range(9)], []) for number in range(voices)}
    result = _share_sentences(recipe, materials)
    assert [len(test_set.texts) for test_set in result.values()] == shares
    assert all(test_set.texts[0] == "own" for test_set in result.values())
