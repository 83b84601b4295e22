"""Run a study from its first trial to its last; each trial is a whole run with its own settings on the same clips."""

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
from vtune.recipe import Recipe, as_yaml, differences, portable_recipe
from vtune.recipe.field_types import VOICE_NAME
from vtune.runtime.disk import writing
from vtune.runtime.paths import RunFolder, write_text
from vtune.tune.objective import check_metric
from vtune.tune.page import write_page
from vtune.tune.paths import StudyFolder
from vtune.tune.report import StudyReport
from vtune.tune.run_trial import drop_checkpoints, run_trial
from vtune.tune.space import Space
from vtune.tune.trials import State, Trial

if TYPE_CHECKING:
    from vtune.tune.study import Study

logger = logging.getLogger(__name__)

MAX_FAILED_TRIALS = 3
"""Trials after which a call ends if all of them failed: then it is not the settings' fault."""

# Settings that change what is shown or where files are, but no result: a study may change them and still continue.
_NOT_IN_IDENTITY = re.compile(
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
) -> StudyReport:
    """Search a space for the settings whose voices score best. A search that was killed continues when called again.

    :param recipe: a file, or the name of a built-in recipe; ``overrides`` hold for every trial.
    :param trials: number of trials that the study has at the end, those of earlier calls included.
    :param minutes: no trial is started after this time.
    :param metric: ``quality`` (the rule of ``evaluate.selection``), or the name of any metric, an extension's too.
    :raises RecipeError: the settings cannot be used, or are not those that the study was started with.
    :raises DataError: there is nothing to train on, or to judge by.
    :raises VtuneError: the extra is not installed, or no trial comes to its end.
    """
    if find_spec("optuna") is None:
        raise VtuneError("tuning needs the extra 'tune' (pip install 'vtune-tts[tune]')")
    from vtune.tune.study import Study

    checked = portable_recipe(load_recipe(recipe, overrides))
    _check(checked, name, metric)
    run = RunFolder(checked.folders.runs / checked.voice)
    study_folder = StudyFolder(run.tuning / name)
    until = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    with run.locked(), writing(study_folder.path):
        study = Study(study_folder.database, space)
        _begin(study, study_folder, checked, space, metric)
        count = _sweep(study, study_folder)
        before = count
        report = _written(checked.voice, study, study_folder, space, metric, ["vtune", "run", recipe, *overrides])
        while count < trials and time.monotonic() < until:
            trial = _next(study, checked.train.seed)
            if trial is None:
                logger.info("The study ends: every point of the space was tried")
                break
            logger.info("Trial %d (%d of %d): %s", trial.number, count + 1, trials, report.settings(trial))
            run_trial(study, trial, study_folder, run, space, metric)
            count += 1
            report = _written(checked.voice, study, study_folder, space, metric, report.command)
            logger.info("%s", report.result_line(trial.number))
            fresh = report.ended[before:]
            if len(fresh) >= MAX_FAILED_TRIALS and all(trial.state == State.FAILED for trial in fresh):
                raise VtuneError(f"the first {len(fresh)} trials failed; the last: {fresh[-1].reason}")
    return report


def _check(recipe: Recipe, name: str, metric: str) -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 or (recipe.train.world_size or 1) > 1:
        raise RecipeError(["a study runs in one process; start it without a launcher and without train.world_size"])
    if not re.match(VOICE_NAME, name):
        raise RecipeError([f"--study: {shown(name)} names no folder; use letters, digits, '-' and '_', 64 at most"])
    check_metric(metric, recipe)


def _begin(study: Study, study_folder: StudyFolder, recipe: Recipe, space: Space, metric: str) -> None:
    """Note the settings of a new study, or compare them with an old one. :raises RecipeError: the settings differ."""
    facts = study.facts
    if "metric" in facts:
        before = load_recipe(study_folder.recipe).settings()
        changes = [str(change) for change in differences(before, recipe.settings()) if _counts(change.key, space)]
        changes += [f"--search {change}" for change in differences(facts["space"], space.settings())]
        changes += [f"--{change}" for change in differences({"metric": facts["metric"]}, {"metric": metric})]
        if changes:
            more = f" and {len(changes) - 3} more" if len(changes) > 3 else ""
            raise RecipeError(
                [
                    f"study {study_folder.path} was started with other settings: {'; '.join(changes[:3])}{more}; "
                    "continue with those settings, or start another study with --study NAME"
                ]
            )
    write_text(study_folder.recipe, as_yaml(recipe))
    study.note(space=space.settings(), metric=metric)
    if not space.same_loss:
        logger.info("No trial is pruned by its loss, because the searched keys change what the loss measures")


def _counts(key: str, space: Space) -> bool:
    """Whether a changed setting makes another study."""
    return not _NOT_IN_IDENTITY.fullmatch(key) and key not in space.dimensions


def _sweep(study: Study, study_folder: StudyFolder) -> int:
    """Remove the checkpoints that a killed process left of ended trials; return the number of ended trials."""
    ended = [trial for trial in study.trials if trial.state != State.RUNNING]
    for trial in ended:
        drop_checkpoints(study_folder.trial(trial.number))
    return len(ended)


def _next(study: Study, seed: int) -> Trial | None:
    """Return the trial that was stopped, else a new one; None if nothing is left to try."""
    running = next((trial for trial in study.trials if trial.state == State.RUNNING), None)
    if running is not None:
        return running
    values = study.propose(seed)
    return None if values is None else study.begin(values)


def _written(
    voice: str, study: Study, study_folder: StudyFolder, space: Space, metric: str, command: Sequence[str]
) -> StudyReport:
    """Write the page and the recipe of the best trial so far."""
    specs = [MetricSpec(**spec) for spec in study.facts.get("metrics", [])]
    report = StudyReport(voice, study_folder, space, metric, study.trials, specs, study.importances(), command)
    if report.best is not None:
        made = as_yaml(load_recipe(study_folder.recipe, space.overrides(report.best.values)))
        write_text(study_folder.best, f"# Found by vtune tune: {report.reached(report.best)}\n{made}")
    write_page(report)
    return report
