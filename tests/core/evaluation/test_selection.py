"""Which metrics choose the best checkpoint, and how they are combined."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from extensions import METRICS, extension

from vtune import pipeline
from vtune.engines import load_engine
from vtune.errors import RecipeError
from vtune.evaluation import MetricSpec, Score, Scores, Selection, metric_makers, metric_registry, read_selection
from vtune.evaluation.metrics import METRIC_GROUPS
from vtune.recipe import Recipe


def selection(recipe: Recipe) -> Selection:
    return read_selection(load_engine(recipe.engine), recipe)


def scores(**means: float | None) -> Scores:
    """Return scores of a voice; None stands for a metric that was measured, but not on what the voice spoke."""
    return Scores(
        scores=[
            Score("g", MetricSpec(name, name, "high"), {} if mean is None else {"voice": mean}, {})
            for name, mean in means.items()
        ]
    )


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install an extension whose metrics need no network."""
    monkeypatch.syspath_prepend(extension(tmp_path / "site", "measures", METRICS))
    importlib.invalidate_caches()
    yield
    sys.modules.pop("measures_extension", None)


@pytest.mark.parametrize(
    ("means", "quality"),
    [
        ({"wer": 0.1, "speaker_similarity": 0.8}, 0.9 * 0.8),
        ({"wer": 1.7, "speaker_similarity": 0.8}, 0.0),
        ({"wer": 0.1, "speaker_similarity": -0.2}, 0.0),
        ({"wer": 0.1, "speaker_similarity": None}, 0.0),
        ({"wer": 0.1}, None),
        ({"speaking_rate": 1.0}, None),
    ],
)
def test_by_default_quality_wants_the_words_and_the_person(
    toy: Callable[..., Recipe], means: dict[str, float | None], quality: float | None
) -> None:
    rule = selection(toy())
    assert rule.rule == "(1 - wer) x speaker_similarity"
    result = rule.quality(scores(**means), "voice")
    assert result == (None if quality is None else pytest.approx(quality))


def test_several_metrics_are_scaled_and_multiplied(toy: Callable[..., Recipe]) -> None:
    rule = selection(toy(evaluate={"selection": ["wer", "naturalness", "duration_ratio"]}))
    assert rule.rule == "(1 - wer) x ((naturalness - 1) / 4) x (1 - |duration_ratio - 1|)"
    measured = scores(wer=0.25, naturalness=4.0, duration_ratio=1.1)
    assert rule.quality(measured, "voice") == pytest.approx(0.75 * 0.75 * 0.9)


@pytest.mark.parametrize(
    ("name", "rule", "better", "worse"),
    [
        ("rtf", "rtf, lower is better", 0.2, 3.0),
        ("stop_rate", "stop_rate, higher is better", 1.0, 0.5),
        ("duration_ratio", "duration_ratio, 1 is best", 0.95, 1.1),
    ],
)
def test_one_metric_chooses_by_its_direction(
    toy: Callable[..., Recipe], name: str, rule: str, better: float, worse: float
) -> None:
    chosen = selection(toy(evaluate={"selection": name}))
    assert chosen.rule == rule
    first, second = (chosen.quality(scores(**{name: number}), "voice") for number in (better, worse))
    assert first is not None
    assert second is not None
    assert 0 <= second < first <= 1


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["werr"], r"evaluate.selection: there is no metric 'werr'; did you mean 'wer'\?"),
        (["wer", "wer"], "wer is named twice"),
        (["wer", "f0_median_hz"], r"f0_median_hz \(pitch, median \(F0\)\) only describes: no value is better"),
        (["wer", "rtf"], "rtf has no worst and best value, so it cannot be multiplied with others; name it alone"),
    ],
)
def test_a_rule_that_cannot_be_used_is_told_before_anything_runs(
    toy: Callable[..., Recipe], tmp_path: Path, names: list[str], says: str
) -> None:
    with pytest.raises(RecipeError, match=says):
        pipeline.run(toy(evaluate={"selection": names}))
    assert not (tmp_path / "runs" / "someone" / "dataset").exists()


def test_an_extension_s_metric_chooses_the_checkpoint(
    installed: None, toy: Callable[..., Recipe], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "vtune"):
        (voice,) = pipeline.run(
            toy(train={"epochs": 3}, evaluate={"selection": "loudness", "checkpoint_sentences": 1, "metrics": []})
        )
    (path,) = (tmp_path / "runs" / "someone").glob("checkpoints/*/final/training.json")
    facts = json.loads(path.read_text())
    loudness = {row["step"]: row["eval_loudness"] for row in facts["curve"]}
    assert len(loudness) == 3
    assert facts["best_step"] == max(loudness, key=loudness.__getitem__)
    assert "The best checkpoint is chosen by quality = loudness, higher is better" in caplog.text
    assert f"loudness {loudness[facts['best_step']]:.2f}" in caplog.text
    assert "it was chosen by quality: loudness, higher is better" in voice.card.read_text()
    assert "| step | quality | loudness |" in voice.card.read_text()


def test_metrics_are_found_by_their_own_names_and_by_their_groups(toy: Callable[..., Recipe]) -> None:
    engine, recipe = load_engine("toy"), toy()
    assert list(metric_makers(engine, recipe, ["speed", "wer"])) == ["intelligibility", "speed"]
    assert list(metric_makers(engine, recipe)) == list(metric_registry.METRICS)
    with pytest.raises(RecipeError, match=r"evaluate.metrics: there is no metric 'spead'; did you mean 'speed'"):
        metric_makers(engine, recipe, ["spead"])


def test_no_two_metrics_have_one_name() -> None:
    names = [spec.name for maker in metric_registry.METRICS.values() for spec in maker.specs]  # type: ignore[attr-defined]
    assert len(names) == len(set(names))


def test_tables_show_the_most_telling_metrics_first() -> None:
    groups = ["intelligibility", "speaker", "delivery", "pitch", "naturalness", "dnsmos", "speed"]
    assert list(metric_registry.METRICS) == groups
    assert len({group.position for group in METRIC_GROUPS.values()}) == len(groups)
