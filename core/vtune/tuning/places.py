"""Where a study lies, and its recipe made to stand there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vtune.recipe import Recipe


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """``runs/<voice>/tuning/<study>/``: a search and all its trials."""

    path: Path

    @property
    def database(self) -> Path:
        """The trials, as Optuna keeps them."""
        return self.path / "study.db"

    @property
    def recipe(self) -> Path:
        """What every trial begins with."""
        return self.path / "recipe.yaml"

    @property
    def best(self) -> Path:
        """The recipe of the best trial."""
        return self.path / "best.yaml"

    @property
    def page(self) -> Path:
        """The study to look at, in a browser."""
        return self.path / "tuning.html"

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / f"trial-{number:03d}"

    def voices(self, number: int) -> Path:
        """Return the folder of a trial's voices."""
        return self.trial(number) / "voices"


def standing_alone(recipe: Recipe) -> Recipe:
    """Return a recipe that is the same wherever its file lies: sources beside the file are named from here."""

    def moved(source: str | None) -> str | None:
        if source is None or os.path.exists(os.path.expanduser(source)) or not os.path.exists(recipe.folder / source):
            return source
        return os.path.relpath(recipe.folder / source)

    data = [source.model_copy(update={"source": moved(source.source)}) for source in recipe.data]
    heard = recipe.evaluate
    evaluate = heard.model_copy(update={"source": moved(heard.source), "others": moved(heard.others)})
    return recipe.model_copy(update={"data": data, "evaluate": evaluate})
