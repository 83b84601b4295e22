"""A study in its file: what it proposes, when it prunes, and that every process that opens it sees the same."""

from __future__ import annotations

import itertools
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest
from killing import file_limit

from vtune.errors import VtuneError
from vtune.runtime.disk import DiskError, writing
from vtune.tune.dimensions import Choice, Range
from vtune.tune.space import Space, Values
from vtune.tune.study import MIN_TRIALS_BEFORE_PRUNING, MIN_TRIALS_FOR_IMPORTANCES, MIN_TRIALS_TO_COMPARE, Study
from vtune.tune.trials import State

WIDE = Space({"rate": Range(1e-5, 1e-1, log=True), "rank": Choice(("4", "8")), "width": Range(1, 50, is_integer=True)})
SMALL = Space({"rank": Choice(("4", "8", "16")), "depth": Range(1, 3, is_integer=True)}, own={"rank": "8", "depth": 2})


def merit(point: Values) -> float:
    return -((math.log10(float(point["rate"])) + 3) ** 2)


def drive(study: Study, count: int, of: Callable[[Values], float]) -> list[Values]:
    points = []
    for _ in range(count):
        point = study.propose(0)
        assert point is not None
        points.append(point)
        study.end(study.begin(point), State.DONE, 1.0, merit=of(point))
    return points


@pytest.fixture(scope="module")
def explored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Values]]:
    """Return a study with a few trials, enough for Optuna to prefer some values."""
    path = tmp_path_factory.mktemp("study") / "study.db"
    return path, drive(Study(path, WIDE), 14, merit)


def test_a_study_goes_on_as_it_would_have(explored: tuple[Path, list[Values]], tmp_path: Path) -> None:
    """The same trials lead to the same next point, whichever process opens the file, and a running trial changes
    nothing.
    """
    path, points = explored
    first = Study(shutil.copy(path, tmp_path / "first.db"), WIDE)
    ahead = drive(first, 2, merit)
    second = Study(shutil.copy(path, tmp_path / "second.db"), WIDE)
    begun = second.begin(second.propose(0) or {})
    again = Study(tmp_path / "second.db", WIDE)
    assert again.trials[-1].values == begun.values == ahead[0]
    again.end(begun, State.DONE, 1.0, merit=merit(begun.values))
    assert again.propose(0) == ahead[1]
    assert again.propose(1) != ahead[1]
    assert all(1e-5 <= float(point["rate"]) <= 1e-1 and isinstance(point["width"], int) for point in points)


def test_it_looks_where_it_was_good(explored: tuple[Path, list[Values]]) -> None:
    study = Study(explored[0], WIDE)
    proposed = [merit(point) for seed in range(8) if (point := study.propose(seed))]
    drawn = -4 / 3  # what points drawn by lot have on the average: x uniform in [-2, 2], and -x squared
    assert sum(proposed) / 8 > drawn / 2
    assert max(study.importances().items(), key=lambda pair: pair[1])[0] == "rate"


def test_the_recipe_goes_first_and_no_point_comes_twice(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", SMALL)
    points = drive(study, 9, lambda point: float(point["depth"]))
    assert points[0] == SMALL.own
    every = itertools.product(("4", "8", "16"), (1, 2, 3))
    assert {(point["rank"], point["depth"]) for point in points} == set(every)
    assert study.propose(0) is None


def test_what_was_running_is_running_when_it_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    study = Study(path, WIDE)
    begun = study.begin({"rate": 3e-4, "rank": "8", "width": 7})
    study.start(begun, "checkpoint-4")
    study.report(begun, 500, 0.25)
    (result,) = Study(path, WIDE).trials
    assert (result.state, result.values) == (State.RUNNING, {"rate": 3e-4, "rank": "8", "width": 7})
    assert result.starts == ("checkpoint-4",)
    again = Study(path, WIDE)
    assert again.report(result, 500, 0.25) is False  # told once more, where it goes on before its last report
    again.end(result, State.FAILED, 2.5, reason="no memory")
    (ended,) = Study(path, WIDE).trials
    assert (ended.state, ended.reason, ended.seconds, ended.merit) == (State.FAILED, "no memory", 2.5, None)


def test_a_trial_is_stopped_where_it_is_worse_than_half_of_the_others_ever_since(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", SMALL)
    values = [0.3, 0.5, 0.9, 0.4, 0.8]
    for number, value in enumerate(values):
        trial = study.begin({"rank": "4", "depth": 1 + number % 3})
        assert not study.report(trial, 1000, value)
        if number < MIN_TRIALS_TO_COMPARE - 1:
            assert not study.report(trial, 2000, 0.9)
        study.end(trial, State.DONE, 1.0, merit=value)
    assert len(values) == MIN_TRIALS_BEFORE_PRUNING
    half = median(values)
    for value in (half - 0.01, half + 0.01):
        assert study.report(study.begin({"rank": "8", "depth": 1}), 1000, value) is (value < half)
    better = study.begin({"rank": "16", "depth": 1})
    assert not study.report(better, 1000, half + 0.01)
    assert not study.report(better, 2000, 0.1)  # too few came there; and it was better before


def test_before_enough_are_done_nothing_is_pruned(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", SMALL)
    for _ in range(MIN_TRIALS_BEFORE_PRUNING):
        trial = study.begin({"rank": "4", "depth": 1})
        assert not study.report(trial, 1000, 0.9)
        assert not study.report(study.begin({"rank": "8", "depth": 1}), 1000, 0.0)
        study.end(trial, State.DONE, 1.0, merit=0.9)
    assert study.report(study.begin({"rank": "8", "depth": 1}), 1000, 0.0)


def test_importances_are_told_of_enough_trials_and_name_the_key_that_matters(tmp_path: Path) -> None:
    study = Study(tmp_path / "study.db", SMALL)
    points = [{"rank": rank, "depth": depth} for rank in ("4", "8", "16") for depth in (1, 2, 3, 2)]
    for number, point in enumerate(points):
        assert bool(study.importances()) == (number >= MIN_TRIALS_FOR_IMPORTANCES)
        study.end(study.begin(point), State.DONE, 1.0, merit=float(point["rank"]))
    result = study.importances()
    assert list(result) == ["rank", "depth"]
    assert result["rank"] > 0.9
    assert sum(result.values()) == pytest.approx(1)


def test_the_file_lies_where_it_was_asked_for(tmp_path: Path) -> None:
    """Optuna takes an address, in which some characters of the path have a special meaning."""
    path = tmp_path / "50 %20 a?b#ä" / "study.db"
    Study(path, SMALL)
    assert list(tmp_path.rglob("*.db")) == [path]


@pytest.mark.parametrize("content", [b"not a database at all" * 200, b"SQLite format 3\0" + bytes(4096)])
def test_a_file_that_is_no_study_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "study.db"
    path.write_bytes(content)
    with pytest.raises(VtuneError, match=r"study.db is not a study: .*; remove the file") as caught:
        Study(path, SMALL)
    assert "\n" not in str(caught.value)
    assert path.read_bytes()[: len(content)] == content


def test_a_study_that_found_no_room_is_not_called_broken(tmp_path: Path) -> None:
    """A user who removed the file, as the message about broken files says, would lose the trials."""
    with file_limit(8_192), pytest.raises(DiskError, match=rf"^{tmp_path}: ") as caught, writing(tmp_path):
        Study(tmp_path / "study.db", SMALL)
    assert "remove the file" not in str(caught.value)
