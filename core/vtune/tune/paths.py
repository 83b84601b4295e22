"""Paths of the files of a study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """``runs/<voice>/tuning/<study>/``: a search and all its trials."""

    path: Path

    @property
    def database(self) -> Path:
        """Optuna's database of the trials."""
        return self.path / "study.db"

    @property
    def recipe(self) -> Path:
        """The recipe that every trial begins with."""
        return self.path / "recipe.yaml"

    @property
    def best(self) -> Path:
        """The recipe of the best trial."""
        return self.path / "best.yaml"

    @property
    def page(self) -> Path:
        """The page that shows the study in a browser."""
        return self.path / "tuning.html"

    def trial(self, number: int) -> Path:
        """Return the run folder of a trial."""
        return self.path / f"trial-{number:03d}"

    def voices(self, number: int) -> Path:
        """Return the folder of a trial's voices."""
        return self.trial(number) / "voices"
