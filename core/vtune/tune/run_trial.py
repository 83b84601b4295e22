"""One trial to its end: done, pruned or failed, or stopped with the whole process, and then gone on with."""

from __future__ import annotations

import gc
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.engines import load_engine, load_recipe
from vtune.errors import DataError, TrainingError, in_a_line
from vtune.evaluation import read_selection
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder
from vtune.runtime.signals import Stopped
from vtune.tune.objective import Outcome, outcome
from vtune.tune.paths import StudyFolder
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial

if TYPE_CHECKING:
    from vtune.tune.study import Study

KILLED = 2
"""Times that a process may be killed at the same place of a trial."""


def try_out(study: Study, trial: Trial, place: StudyFolder, run: RunFolder, space: Space, metric: str) -> None:
    """Make the voices of a trial, and write down what became of it. It goes on where it was stopped.

    :param run: whose clips and features it uses.
    :raises VtuneError: something that would end any other trial as well.
    """
    folder = place.trial(trial.number)
    progress = " ".join(sorted(path.name for path in folder.glob("checkpoints/*/*")))
    if trial.starts.count(progress) >= KILLED:
        study.end(trial, State.FAILED, 0.0, reason=f"its process was killed {KILLED} times at the same place")
    else:
        study.start(trial, progress)
        recipe = _recipe(load_recipe(place.recipe, space.overrides(trial.values)), place.voices(trial.number))
        try:
            _make(study, trial, recipe, RunFolder(folder, material=run), metric, space.same_loss)
        except (KeyboardInterrupt, Stopped):
            study.forget_start(trial)
            raise
    drop_checkpoints(folder)


def drop_checkpoints(folder: Path) -> None:
    """Remove what only a training needs that goes on; a voice has its adapter. Twenty trials would fill a disk."""
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _recipe(recipe: Recipe, voices: Path) -> Recipe:
    folders = recipe.folders.model_copy(update={"voices": voices})
    # Features are known by content: those of another trial are this one's, whatever the recipe thinks of a cache.
    encode = recipe.encode.model_copy(update={"cache": True})
    return recipe.model_copy(update={"folders": folders, "encode": encode})


def _make(study: Study, trial: Trial, recipe: Recipe, folder: RunFolder, metric: str, by_loss: bool) -> None:
    # Late, so that a mistake in the settings is told before torch is loaded.
    from vtune import pipeline
    from vtune.training.out_of_memory import is_out_of_memory
    from vtune.tune.pruning import Pruned, Watch

    watch = Watch(study, trial, by_loss)
    began = time.monotonic()

    def end(state: State, **facts: Any) -> None:
        study.end(trial, state, time.monotonic() - began, **facts)

    try:
        found = outcome(
            pipeline.run(recipe, folder=folder, callbacks=[watch]),
            metric,
            read_selection(load_engine(recipe.engine), recipe),
        )
        _hold_to(study, found)
        end(State.DONE, merit=found.merit, metrics=found.metrics)
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


def _hold_to(study: Study, found: Outcome) -> None:
    """See that trials are judged by the same words, and keep what their metrics mean."""
    judged_by = study.facts.setdefault("judged_by", list(found.judged_by))
    if judged_by != list(found.judged_by):
        raise DataError(
            "the held-out clips have changed since the first trial, so merits cannot be compared; "
            "begin another study with --study NAME, or give evaluate.source"
        )
    study.note(judged_by=judged_by, metrics=[asdict(spec) for spec in found.specs])


def _free_memory() -> None:
    """Let go of the network before the next one is loaded; an error's frames would hold it."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
