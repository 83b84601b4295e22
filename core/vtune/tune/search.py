"""A study from its first trial to its last: each a whole run with settings of its own, over the same clips."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from vtune.engines import load_recipe
from vtune.errors import RecipeError, VtuneError, shown
from vtune.evaluation import QUALITY, MetricSpec
from vtune.recipe import Recipe, as_yaml, differences, standing_alone
from vtune.recipe.model import VOICE_NAME
from vtune.runtime.disk import writing
from vtune.runtime.paths import RunFolder, write_text
from vtune.tune.objective import check_metric
from vtune.tune.page import write_page
from vtune.tune.paths import StudyFolder
from vtune.tune.report import Found
from vtune.tune.run_trial import drop_checkpoints, try_out
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial

if TYPE_CHECKING:
    from vtune.tune.study import Study

logger = logging.getLogger(__name__)

HOPELESS = 3
"""Trials of a call that fail, all that there were, before it is not their settings' fault any more."""

# Settings that change what is seen or where it lies, not what is found: a study may change them and still go on.
_ASIDE = re.compile(
    r"(folders|encode|consent)(\..+)?|(train|transcribe)\.device|train\.(log_every|report_to|save_limit)|"
    r"prepare\.(processes|examine)"
)


def tune(
    recipe: str,
    space: Space,
    overrides: Sequence[str] = (),
    *,
    trials: int = 20,
    minutes: float | None = None,
    name: str = "study",
    metric: str = QUALITY,
) -> Found:
    """Search a space for the settings whose voices score best. Killed at any moment and called again, it goes on.

    :param recipe: a file, or the name of a built-in recipe; ``overrides`` hold for every trial.
    :param trials: that the study shall have in all, those of earlier calls included.
    :param minutes: no trial is begun after so many.
    :param metric: ``quality`` (the rule of ``evaluate.selection``), or the name of any metric, an extension's too.
    :raises RecipeError: the settings cannot be used, or are not those that the study was begun with.
    :raises DataError: there is nothing to train on, or to judge by.
    :raises VtuneError: the extra is not installed, or no trial comes to its end.
    """
    if find_spec("optuna") is None:
        raise VtuneError("tuning needs the extra 'tune' (pip install 'vtune-tts[tune]')")
    from vtune.tune.study import Study

    checked = standing_alone(load_recipe(recipe, overrides))
    _check(checked, name, metric)
    run = RunFolder(checked.folders.runs / checked.voice)
    place = StudyFolder(run.tuning / name)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    with run.locked(), writing(place.path):
        study = Study(place.database, space)
        _begin(study, place, checked, space, metric)
        count = _sweep(study, place)
        before = count
        found = _written(checked.voice, study, place, space, metric, ["vtune", "run", recipe, *overrides])
        while count < trials and time.monotonic() < until:
            trial = _next(study, checked.train.seed)
            if trial is None:
                logger.info("every point of the space was tried")
                break
            logger.info("trial %d (%d of %d): %s", trial.number, count + 1, trials, found.settings(trial))
            try_out(study, trial, place, run, space, metric)
            count += 1
            found = _written(checked.voice, study, place, space, metric, found.command)
            logger.info("%s", found.told(trial.number))
            fresh = found.ended[before:]
            if len(fresh) >= HOPELESS and all(one.state == State.FAILED for one in fresh):
                raise VtuneError(f"the first {len(fresh)} trials failed; the last: {fresh[-1].reason}")
    return found


def _check(recipe: Recipe, name: str, metric: str) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or (recipe.train.world_size or 1) > 1:
        raise RecipeError(["a study runs in one process; start it without a launcher and without train.world_size"])
    if not re.match(VOICE_NAME, name):
        raise RecipeError([f"--study: {shown(name)} names no folder; use letters, digits, '-' and '_', 64 at most"])
    check_metric(metric, recipe)


def _begin(study: Study, place: StudyFolder, recipe: Recipe, space: Space, metric: str) -> None:
    """Note what a new study is of, or hold an old one to it. :raises RecipeError: it is of something else."""
    facts = study.facts
    if "metric" in facts:
        before = load_recipe(place.recipe).settings()
        settings = (one for one in differences(before, recipe.settings()) if not _ASIDE.fullmatch(one.key))
        said = [str(one) for one in settings if one.key not in space.dimensions]
        said += [f"--search {one}" for one in differences(facts["space"], space.settings())]
        said += [f"--{one}" for one in differences({"metric": facts["metric"]}, {"metric": metric})]
        if said:
            others = f" and {len(said) - 3} more" if len(said) > 3 else ""
            raise RecipeError(
                [
                    f"study {place.path} was begun with other settings: {'; '.join(said[:3])}{others}; "
                    "go on with those, or begin another with --study NAME"
                ]
            )
    write_text(place.recipe, as_yaml(recipe))
    study.note(space=space.settings(), metric=metric)
    if not space.same_loss:
        logger.info("no trial is pruned by its loss: what is searched changes what the loss measures")


def _sweep(study: Study, place: StudyFolder) -> int:
    """Remove what a killed process left of trials that had ended; returns how many there are."""
    ended = [trial for trial in study.trials if trial.state != State.RUNNING]
    for trial in ended:
        drop_checkpoints(place.trial(trial.number))
    return len(ended)


def _next(study: Study, seed: int) -> Trial | None:
    """Return the trial that was stopped, else a new one; None where nothing is left to try."""
    running = next((trial for trial in study.trials if trial.state == State.RUNNING), None)
    if running is not None:
        return running
    values = study.propose(seed)
    return None if values is None else study.begin(values)


def _written(voice: str, study: Study, place: StudyFolder, space: Space, metric: str, command: Sequence[str]) -> Found:
    """Write the page and the best recipe as things stand."""
    specs = [MetricSpec(**spec) for spec in study.facts.get("metrics", [])]
    found = Found(voice, place, space, metric, study.trials, specs, study.importances(), command)
    if found.best is not None:
        made = as_yaml(load_recipe(place.recipe, space.overrides(found.best.values)))
        write_text(place.best, f"# Found by vtune tune: {found.reached(found.best)}\n{made}")
    write_page(found)
    return found
