"""One trial until it is done, pruned or failed. A trial that was stopped with its process continues."""

from __future__ import annotations

import gc
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.engines import engine_of, load_recipe
from vtune.errors import DataError, TrainingError, in_a_line
from vtune.evaluation import read_selection
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.runtime.signals import Stopped
from vtune.tune.objective import TrialOutcome, outcome
from vtune.tune.paths import StudyFolder
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial

if TYPE_CHECKING:
    from vtune.tune.study import Study

MAX_KILLS = 2
"""Times that a process may be killed at the same point of a trial."""


def run_trial(study: Study, trial: Trial, study_folder: StudyFolder, run: RunFolder, space: Space, metric: str) -> None:
    """Make the voices of a trial, and write down its result. A trial that was stopped continues.

    :param run: whose clips and features it uses.
    :raises VtuneError: something that would end any other trial as well.
    """
    folder = study_folder.trial(trial.number)
    progress = " ".join(sorted(path.name for path in folder.glob("checkpoints/*/*")))
    if trial.starts.count(progress) >= MAX_KILLS:
        study.end(trial, State.FAILED, 0.0, reason=f"its process was killed {MAX_KILLS} times at the same point")
    else:
        study.start(trial, progress)
        settings = load_recipe(study_folder.recipe, space.overrides(trial.values))
        recipe = _recipe(settings, study_folder.voices(trial.number))
        try:
            _make(study, trial, recipe, RunFolder(folder, material=run), metric, space.same_loss)
        except (KeyboardInterrupt, Stopped):
            study.forget_start(trial)
            raise
    drop_checkpoints(folder)


def drop_checkpoints(folder: Path) -> None:
    """Remove what only a training needs that is continued; a voice has its adapter. Twenty trials would fill a disk."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _recipe(recipe: Recipe, voices: Path) -> Recipe:
    folders = recipe.folders.model_copy(update={"voices": voices})
    # Features are found by their content: those of another trial serve this one too, whatever `encode.cache` says.
    encode = recipe.encode.model_copy(update={"cache": True})
    return recipe.model_copy(update={"folders": folders, "encode": encode})


def _make(study: Study, trial: Trial, recipe: Recipe, folder: RunFolder, metric: str, by_loss: bool) -> None:
    # Late, so that a mistake in the settings is reported before torch is loaded.
    from vtune import pipeline
    from vtune.runtime.device import is_out_of_memory
    from vtune.tune.pruning import Pruned, PruningCallback

    watch = PruningCallback(study, trial, by_loss)
    began = time.monotonic()

    def end(state: State, **facts: Any) -> None:
        study.end(trial, state, time.monotonic() - began, **facts)

    try:
        result = outcome(
            pipeline.run(recipe, folder=folder, callbacks=[watch]),
            metric,
            read_selection(engine_of(recipe), recipe),
        )
        _hold_to(study, result)
        end(State.DONE, merit=result.merit, metrics=result.metrics)
    except Pruned as stopped:
        end(State.PRUNED, reason=str(stopped))
    except TrainingError as failure:
        end(State.FAILED, reason=in_a_line(failure))
    except (RuntimeError, MemoryError) as failure:
        if not is_out_of_memory(failure):
            raise
        end(State.FAILED, reason=f"out of memory: {in_a_line(failure)}")
    finally:
        _free_memory()


def _hold_to(study: Study, result: TrialOutcome) -> None:
    """Check that all trials are scored on the same texts, and store the specifications of the metrics."""
    judged_by = study.facts.setdefault("judged_by", list(result.judged_by))
    if judged_by != list(result.judged_by):
        raise DataError(
            "the held-out clips have changed since the first trial, so the trials cannot be compared; "
            "begin another study with --study NAME, or give evaluate.source"
        )
    study.note(judged_by=judged_by, metrics=[asdict(spec) for spec in result.specs])


def _free_memory() -> None:
    """Release the network before the next one is loaded; an error's frames would hold it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
