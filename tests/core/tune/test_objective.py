"""The result of a trial, from scores that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vtune.engines import load_engine, load_recipe
from vtune.errors import RecipeError, TrainingError, VtuneError
from vtune.evaluation import MetricSpec, Score, Scores, Selection, read_scores, read_selection
from vtune.runtime.paths import VoiceFolder, write_json
from vtune.tune.objective import check_metric, outcome

SPECS = {
    "wer": MetricSpec("wer", "wrong words", "low", "%"),
    "speaker_similarity": MetricSpec("speaker_similarity", "similarity", "high", scale=(0.0, 1.0)),
    "duration_ratio": MetricSpec("duration_ratio", "length", "one"),
    "speaking_rate": MetricSpec("speaking_rate", "speaking rate", "neither"),
}


@pytest.fixture
def rule(toy_recipe: Callable[..., Path]) -> Selection:
    return read_selection(load_engine("toy"), load_recipe(toy_recipe()))


@pytest.fixture
def voice(tmp_path: Path) -> Callable[..., VoiceFolder]:
    def make(name: str = "anna", skipped: Mapping[str, str] | None = None, **means: float | None) -> VoiceFolder:
        scores = [
            Score("group", SPECS[name], {"base": 0.5} | ({} if mean is None else {"voice": mean}), {})
            for name, mean in means.items()
        ]
        folder = VoiceFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        write_json(
            folder.scores, Scores(["hello"], [0], ["voice", "base"], "base", scores, [], skipped or {}).settings()
        )
        return folder

    return make


def test_quality_is_right_words_times_similarity(voice: Callable[..., VoiceFolder], rule: Selection) -> None:
    trial_outcome = outcome([voice(wer=0.25, speaker_similarity=0.8, duration_ratio=1.1)], "quality", rule)
    assert trial_outcome.merit == pytest.approx(0.75 * 0.8)
    assert trial_outcome.metrics == pytest.approx({"quality": 0.6, "wer": 0.25, "speaker_similarity": 0.8})
    assert [kind.name for kind in trial_outcome.specs] == ["quality", "wer", "speaker_similarity"]
    assert trial_outcome.judged_by == ["hello"]


def test_of_several_voices_it_is_the_mean(voice: Callable[..., VoiceFolder], rule: Selection) -> None:
    trial_outcome = outcome(
        [voice("a", wer=0.0, speaker_similarity=0.9), voice("b", wer=0.5, speaker_similarity=0.4)], "quality", rule
    )
    assert trial_outcome.merit == pytest.approx((0.9 + 0.5 * 0.4) / 2)
    assert trial_outcome.metrics["wer"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("metric", "means", "merit"),
    [
        ("wer", {"wer": 0.2}, -0.2),
        ("speaker_similarity", {"speaker_similarity": 0.7}, 0.7),
        ("duration_ratio", {"duration_ratio": 1.3}, -0.3),
        ("duration_ratio", {"duration_ratio": 0.7}, -0.3),
    ],
)
def test_whatever_the_metric_a_higher_merit_is_better(
    voice: Callable[..., VoiceFolder],
    metric: str,
    means: Mapping[str, float],
    merit: float,
    rule: Selection,
) -> None:
    trial_outcome = outcome([voice(**means)], metric, rule)
    assert trial_outcome.merit == pytest.approx(merit)
    assert trial_outcome.specs[0].name == metric


def test_a_voice_that_says_too_little_to_be_judged_is_the_worst(
    voice: Callable[..., VoiceFolder], rule: Selection
) -> None:
    """Without its similarity in the rule, the voice would count as perfect."""
    assert outcome([voice(wer=0.0, speaker_similarity=None)], "quality", rule).merit == 0
    with pytest.raises(TrainingError, match="its voice spoke nothing that speaker_similarity can be measured on"):
        outcome([voice(wer=0.0, speaker_similarity=None)], "speaker_similarity", rule)


def test_what_no_trial_could_be_judged_by_ends_the_study_with_the_reason(
    voice: Callable[..., VoiceFolder], rule: Selection
) -> None:
    skipped = {"intelligibility": "no weights of Whisper are here"}
    with pytest.raises(
        RecipeError,
        match=r"wer was not measured \(measured: speaker_similarity\); intelligibility: no weights of Whisper",
    ):
        outcome([voice(speaker_similarity=0.9, skipped=skipped)], "quality", rule)
    with pytest.raises(RecipeError, match="no value of it is better"):
        outcome([voice(speaking_rate=12.0)], "speaking_rate", rule)
    with pytest.raises(RecipeError, match="no clip is held out"):
        outcome([VoiceFolder(Path("nowhere"))], "quality", rule)


def test_scores_are_read_as_they_were_written(voice: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    scores = [Score("text", SPECS["wer"], {"voice": 0.1, "base": 0.4}, {"voice": (-0.5, -0.1)}, {"others": 0.2})]
    scores_of_voice = Scores(
        ["hello"], [0, 1], ["voice", "base"], "base", scores, [{"system": "voice"}], {"pitch": "no extra"}
    )
    write_json(tmp_path / "scores.json", scores_of_voice.settings())
    assert read_scores(tmp_path / "scores.json") == scores_of_voice
    for damaged in ('{"version": 1}', "[]", "{", '{"version": 3, "scores": [{}]}'):
        (tmp_path / "scores.json").write_text(damaged)
        with pytest.raises(VtuneError, match=r"scores.json .*make the voice again"):
            read_scores(tmp_path / "scores.json")


@pytest.mark.parametrize(
    ("metric", "sections", "says"),
    [
        ("quality", {}, "nothing to judge trials by"),
        ("quality", {"evaluate": {"source": "held", "clips": 0}}, "evaluate.clips is 0, so there is nothing to judge"),
        (
            "quality",
            {"train": {"validation": 0.1}},
            r"evaluate.metrics \(delivery, speed\) leaves wer out; add it",
        ),
        ("stop_rat", {"train": {"validation": 0.1}}, r"there is no metric 'stop_rat'; did you mean 'stop_rate'\?"),
        ("speaking_rate", {"train": {"validation": 0.1}}, "no value of it is better"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_runs(
    toy_recipe: Callable[..., Path], metric: str, sections: dict[str, object], says: str
) -> None:
    with pytest.raises(RecipeError, match=says):
        check_metric(metric, load_recipe(toy_recipe(**sections)))


def test_a_metric_that_is_measured_passes(toy_recipe: Callable[..., Path]) -> None:
    check_metric("duration_ratio", load_recipe(toy_recipe(train={"validation": 0.1})))
    check_metric("quality", load_recipe(toy_recipe(train={"validation": 0.1}, evaluate={"metrics": None})))
