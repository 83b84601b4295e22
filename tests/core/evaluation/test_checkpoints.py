"""What training asks of a checkpoint, with judges that need no network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from vtune import pipeline
from vtune.errors import VtuneError
from vtune.evaluation import MetricResult, MetricSpec, Ratio, TestSet, Utterance, listener
from vtune.evaluation.checkpoints import _shared_out
from vtune.evaluation.metrics import registry as judging
from vtune.recipe import Recipe
from vtune.runtime.paths import VoiceFolder
from vtune.types import Clip
from vtune.voices.speech import LoadedVoice, open_voice


class Counts:
    """Judges by the text's length."""

    made = 0

    def __init__(self, material: TestSet, recipe: Recipe) -> None:
        type(self).made += 1


class Words(Counts):
    figures = (MetricSpec("words", "wrong words", "low"),)

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        return MetricResult({"words": [Ratio(1, len(take.text.split())) for take in takes]})


class Likeness(Counts):
    figures = (MetricSpec("likeness", "likeness", "high"),)

    def judge(self, takes: Sequence[Utterance]) -> MetricResult:
        return MetricResult({"likeness": [Ratio(0.5) for _ in takes]})


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(judging.OWN, "text", Words)
    monkeypatch.setitem(judging.OWN, "voice", Likeness)
    Counts.made = Words.made = Likeness.made = 0


@pytest.fixture
def voice(toy: Callable[..., Recipe]) -> LoadedVoice:
    (folder,) = pipeline.run(toy(evaluate={"during": 0}))
    return open_voice(VoiceFolder(folder.path), "cpu")


def test_a_checkpoint_is_judged_by_words_and_likeness(
    judged: None, toy: Callable[..., Recipe], voice: LoadedVoice, clip: Callable[..., Clip]
) -> None:
    recipe = toy(evaluate={"sentences": ["one two"], "during": 2})
    material = TestSet(["four words are here", "unused"], [clip("four words are here")])
    asked: list[str] = []

    def keep(name: str) -> Any:
        asked.append(name)
        return voice.conditioning

    listen = listener(voice.engine, voice.base, recipe, {"ann": material}, keep)
    assert listen is not None
    for _ in range(2):
        heard = listen(voice.model)
    # One wrong word of two, and of four.
    assert heard.figures["words"] == pytest.approx(2 / 6)
    assert heard.figures["quality"] == pytest.approx((1 - 2 / 6) * 0.5)
    assert [name for name, _, _ in heard.takes] == ["01", "02"]
    assert all(len(sound) for _, sound, _ in heard.takes)
    assert asked == ["ann", "ann"]
    assert (Words.made, Likeness.made) == (1, 1)


def test_without_both_judges_the_loss_chooses(
    judged: None, toy: Callable[..., Recipe], voice: LoadedVoice, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    def missing(*_: object) -> Words:
        raise VtuneError("no weights of Whisper are here")

    monkeypatch.setitem(judging.OWN, "text", missing)
    with caplog.at_level("INFO", "vtune"):
        found = listener(voice.engine, voice.base, toy(), {"a": TestSet(["a"], [])}, lambda _: voice.conditioning)
    assert found is None
    assert "chosen by loss, not by ear: no weights of Whisper are here" in caplog.text


def test_zero_sentences_ask_nobody(judged: None, toy: Callable[..., Recipe], voice: LoadedVoice) -> None:
    recipe = toy(evaluate={"during": 0})
    assert listener(voice.engine, voice.base, recipe, {"a": TestSet([], [])}, lambda _: voice.conditioning) is None
    assert Words.made == 0


@pytest.mark.parametrize(
    ("during", "voices", "shares"), [(4, 1, [4]), (4, 3, [2, 1, 1]), (2, 3, [1, 1]), (7, 2, [4, 3])]
)
def test_sentences_are_shared_out(toy: Callable[..., Recipe], during: int, voices: int, shares: list[int]) -> None:
    recipe = toy(evaluate={"sentences": ["own"], "during": during})
    materials = {f"v{number}": TestSet([f"t{text}" for text in range(9)], []) for number in range(voices)}
    found = _shared_out(recipe, materials)
    assert [len(material.texts) for material in found.values()] == shares
    assert all(material.texts[0] == "own" for material in found.values())
