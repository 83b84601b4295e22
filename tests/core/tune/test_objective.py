"""What a trial is worth, from scores that are written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from vtune.engines import load_recipe
from vtune.errors import RecipeError, TrainingError, VtuneError
from vtune.evaluation import MetricSpec, Score, Scores, read_scores
from vtune.runtime.paths import VoiceFolder, write_json
from vtune.tune.objective import check_metric, outcome

FIGURES = {
    "words": MetricSpec("words", "wrong words", "low", "%"),
    "likeness": MetricSpec("likeness", "likeness", "high"),
    "length": MetricSpec("length", "length", "one"),
    "pace": MetricSpec("pace", "pace", "neither"),
}


@pytest.fixture
def voice(tmp_path: Path) -> Callable[..., VoiceFolder]:
    def make(name: str = "anna", skipped: Mapping[str, str] | None = None, **means: float | None) -> VoiceFolder:
        scores = [
            Score("group", FIGURES[figure], {"base": 0.5} | ({} if mean is None else {"voice": mean}), {})
            for figure, mean in means.items()
        ]
        folder = VoiceFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        write_json(
            folder.scores, Scores(["hello"], [0], ["voice", "base"], "base", scores, [], skipped or {}).settings()
        )
        return folder

    return make


def test_quality_is_right_words_times_likeness(voice: Callable[..., VoiceFolder]) -> None:
    found = outcome([voice(words=0.25, likeness=0.8, length=1.1)], "quality")
    assert found.merit == pytest.approx(0.75 * 0.8)
    assert found.figures == pytest.approx({"quality": 0.6, "words": 0.25, "likeness": 0.8})
    assert [kind.name for kind in found.kinds] == ["quality", "words", "likeness"]
    assert found.judged_by == ["hello"]


def test_of_several_voices_it_is_the_mean(voice: Callable[..., VoiceFolder]) -> None:
    found = outcome([voice("a", words=0.0, likeness=0.9), voice("b", words=0.5, likeness=0.4)], "quality")
    assert found.merit == pytest.approx((0.9 + 0.5 * 0.4) / 2)
    assert found.figures["words"] == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("metric", "means", "merit"),
    [
        ("words", {"words": 0.2}, -0.2),
        ("likeness", {"likeness": 0.7}, 0.7),
        ("length", {"length": 1.3}, -0.3),
        ("length", {"length": 0.7}, -0.3),
    ],
)
def test_whatever_the_figure_a_higher_merit_is_better(
    voice: Callable[..., VoiceFolder], metric: str, means: Mapping[str, float], merit: float
) -> None:
    found = outcome([voice(**means)], metric)
    assert found.merit == pytest.approx(merit)
    assert found.kinds[0].name == metric


def test_a_voice_that_says_too_little_to_be_judged_is_the_worst(voice: Callable[..., VoiceFolder]) -> None:
    """Left out of the rule, its likeness would count as perfect."""
    assert outcome([voice(words=0.0, likeness=None)], "quality").merit == 0
    with pytest.raises(TrainingError, match="nothing that its voice spoke could be judged for likeness"):
        outcome([voice(words=0.0, likeness=None)], "likeness")


def test_what_no_trial_could_be_judged_by_ends_the_study_with_the_reason(voice: Callable[..., VoiceFolder]) -> None:
    skipped = {"text": "no weights of Whisper are here"}
    with pytest.raises(
        RecipeError, match=r"words was not measured \(measured: likeness\); text: no weights of Whisper"
    ):
        outcome([voice(likeness=0.9, skipped=skipped)], "quality")
    with pytest.raises(RecipeError, match="there is no better or worse"):
        outcome([voice(pace=12.0)], "pace")
    with pytest.raises(RecipeError, match="no clip was held out"):
        outcome([VoiceFolder(Path("nowhere"))], "quality")


def test_scores_are_read_as_they_were_written(voice: Callable[..., VoiceFolder], tmp_path: Path) -> None:
    scores = [Score("text", FIGURES["words"], {"voice": 0.1, "base": 0.4}, {"voice": (-0.5, -0.1)}, {"others": 0.2})]
    whole = Scores(["hello"], [0, 1], ["voice", "base"], "base", scores, [{"system": "voice"}], {"pitch": "no extra"})
    write_json(tmp_path / "scores.json", whole.settings())
    assert read_scores(tmp_path / "scores.json") == whole
    for damaged in ('{"version": 1}', "[]", "{", '{"version": 2, "scores": [{}]}'):
        (tmp_path / "scores.json").write_text(damaged)
        with pytest.raises(VtuneError, match=r"scores.json .*make the voice again"):
            read_scores(tmp_path / "scores.json")


@pytest.mark.parametrize(
    ("metric", "sections", "says"),
    [
        ("quality", {}, "nothing to judge trials by"),
        ("quality", {"evaluate": {"source": "held", "clips": 0}}, "nothing to judge trials by"),
        (
            "quality",
            {"train": {"validation": 0.1}},
            r"no judge in evaluate.judges \(delivery, speed\) measures 'words'",
        ),
        ("lenght", {"train": {"validation": 0.1}}, r"measures 'lenght'; did you mean 'length'\?"),
        ("pace", {"train": {"validation": 0.1}}, "there is no better or worse"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_runs(
    toy_recipe: Callable[..., Path], metric: str, sections: dict[str, object], says: str
) -> None:
    with pytest.raises(RecipeError, match=says):
        check_metric(metric, load_recipe(toy_recipe(**sections)))


def test_a_figure_that_is_measured_passes(toy_recipe: Callable[..., Path]) -> None:
    check_metric("length", load_recipe(toy_recipe(train={"validation": 0.1})))
    check_metric("quality", load_recipe(toy_recipe(train={"validation": 0.1}, evaluate={"judges": None})))
