"""Scores of systems are compared with other ways to compute them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from vtune.errors import VtuneError
from vtune.evaluation import MetricResult, MetricSpec, Ratio, TestSet, Utterance, score
from vtune.evaluation.scores import Score, Scores
from vtune.recipe import Recipe


class Told:
    """A metric whose results are given, utterance by utterance."""

    specs = (MetricSpec("points", "points", "high"), MetricSpec("never", "never seen", "low"))

    def __init__(self, shares: Sequence[Ratio | None]) -> None:
        self.shares = list(shares)

    def measure(self, utterances: Sequence[Utterance]) -> MetricResult:
        assert len(utterances) == len(self.shares)
        return MetricResult({"points": self.shares}, {"said": [utterance.text.upper() for utterance in utterances]})


def silence(text: str, system: str = "voice", seed: int = 0) -> Utterance:
    return Utterance(text, seed, system, np.zeros(8, np.float32), 8_000)


def told(
    utterances: Sequence[Utterance], shares: Sequence[Ratio | None], recipe: Recipe, baseline: str = "base"
) -> Scores:
    texts = list(dict.fromkeys(utterance.text for utterance in utterances))
    return score(utterances, TestSet(texts, []), recipe, {"told": lambda *_: Told(shares)}, baseline)


def test_means_weigh_takes_by_what_they_hold(toy: Callable[..., Recipe]) -> None:
    utterances = [silence("a"), silence("b"), silence("c"), silence("a", "base")]
    scored = told(utterances, [Ratio(2, 4), Ratio(0, 1), None, Ratio(1, 1)], toy())
    assert scored["points"].means == {"voice": 2 / 5, "base": 1.0}
    assert scored.systems == ["voice", "base"]
    assert [row["metrics"]["points"] for row in scored.utterances] == [0.5, 0.0, None, 1.0]
    assert [row["said"] for row in scored.utterances] == ["A", "B", "C", "A"]


def test_what_a_judge_did_not_find_is_no_score(toy: Callable[..., Recipe]) -> None:
    with pytest.raises(KeyError):
        told([silence("a")], [Ratio(1)], toy())["never"]


def test_the_interval_is_that_of_a_paired_bootstrap(toy: Callable[..., Recipe]) -> None:
    """The expected interval follows from the standard error of a mean of differences, which the bootstrap approaches
    for equal weights.
    """
    draw = np.random.default_rng(3)
    values = draw.uniform(1.0, 4.0, (40, 2))
    utterances = [silence(f"{text}", system) for text in range(40) for system in ("voice", "base")]
    scored = told(utterances, [Ratio(value) for value in values.reshape(-1)], toy())["points"]
    differences = values[:, 0] - values[:, 1]
    middle, width = differences.mean(), 1.96 * differences.std() / np.sqrt(40)
    assert scored.intervals["voice"] == pytest.approx((middle - width, middle + width), abs=0.15 * width)
    assert set(scored.intervals) == {"voice"}


def test_any_system_can_be_the_one_that_others_are_compared_with(toy: Callable[..., Recipe]) -> None:
    utterances = [silence(text, system) for text in "ab" for system in ("step 10", "step 20", "mixed")]
    scored = told(utterances, [Ratio(value) for value in (1, 2, 3, 1, 2, 3)], toy(), "step 20")["points"]
    assert scored.intervals == {"step 10": (-1.0, -1.0), "mixed": (1.0, 1.0)}


def test_all_seeds_of_a_text_are_drawn_together(toy: Callable[..., Recipe]) -> None:
    utterances = [silence(text, system, seed) for text in "ab" for seed in (0, 1) for system in ("voice", "base")]
    scored = told(utterances, [Ratio(value) for value in (0, 1, 2, 1, 4, 5, 6, 5)], toy())["points"]
    assert scored.intervals["voice"] == (0.0, 0.0)


def test_systems_that_sound_the_same_are_named(toy: Callable[..., Recipe]) -> None:
    other = Utterance("b", 0, "other", np.ones(8, np.float32), 8_000)
    utterances = [silence("a"), silence("b"), silence("a", "base"), silence("b", "base"), silence("a", "other"), other]
    scored = told(utterances, [Ratio(0)] * 6, toy())
    assert scored.identical == (("voice", "base"),)
    assert scored.warnings() == [
        "voice and base sound exactly the same: the training changed nothing that can be heard"
    ]


def test_one_text_has_no_interval(toy: Callable[..., Recipe]) -> None:
    scored = told([silence("a"), silence("a", "base")], [Ratio(1), Ratio(2)], toy())["points"]
    assert scored.intervals == {}
    assert scored.difference("voice") == ""


def test_what_cannot_be_measured_says_why_and_the_rest_goes_on(toy: Callable[..., Recipe]) -> None:
    def broken(*_: object) -> Told:
        raise VtuneError("it needs the extra 'x'")

    makers = {"broken": broken, "told": lambda *_: Told([Ratio(1)])}
    result = score([silence("a")], TestSet(["a"], []), toy(), makers)
    assert result.skipped == {"broken": "it needs the extra 'x'"}
    assert result["points"].means == {"voice": 1.0}


def test_the_file_holds_everything(toy: Callable[..., Recipe]) -> None:
    utterances = [silence("a"), silence("b"), silence("a", "base"), silence("b", "base")]
    kept = json.loads(json.dumps(told(utterances, [Ratio(points) for points in (1, 2, 0, 0)], toy()).settings()))
    assert kept["version"] == 3
    (score,) = kept["scores"]
    assert (score["group"], score["spec"]["name"], score["means"]) == ("told", "points", {"voice": 1.5, "base": 0.0})
    assert kept["utterances"][1]["metrics"] == {"points": 2.0}


def test_a_line_says_what_everybody_reached() -> None:
    written = Score(
        "g",
        MetricSpec("speaker_similarity", "similarity", "high"),
        {"voice": 0.9, "base": 0.5},
        {},
        {"impostors": 0.45},
    )
    assert written.describe("voice") == "similarity: voice 0.90, impostors 0.45, base 0.50"
    percent = Score("g", MetricSpec("wer", "wrong words", "low", "%"), {"voice": 0.123}, {"voice": (-0.1, 0.052)})
    assert percent.shown("voice") == "12.3 %"
    assert percent.difference("voice") == "-10.00 to +5.20 %"
    assert percent.shown("base") == "-"
