"""Several contestants speak the same words with the same seeds, and are scored, written out and laid side by side."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vtune.audio import write_wav
from vtune.engines import load_engine, load_foreign_recipe
from vtune.errors import DataError, VoiceError
from vtune.evaluation import (
    Evaluation,
    TestSet,
    Utterance,
    held_material,
    judges,
    once_each,
    score,
    speak_all,
    speak_trained,
)
from vtune.evaluation.compare.contestants import Contestant, opened
from vtune.evaluation.compare.table import table
from vtune.ingest import raw_sources as raw
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder, VoiceFolder, new_folder, write_text
from vtune.types import Audio

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what came of it.

    :param title: name of the voice that it is about.
    """

    title: str
    contestants: Sequence[Contestant]
    evaluation: Evaluation

    def write(self, directory: Path) -> None:
        """Write sound, scores, a page to listen to and a summary into a folder, whole or not at all.

        Files are named ``<voice>_<place>_<label>_<text>.wav``, so that a file browser sorts them by contestant.

        :raises VoiceError: the folder holds something that is no comparison.
        """
        if directory.is_dir() and any(directory.iterdir()) and not (directory / "scores.json").is_file():
            raise VoiceError(f"{directory} is not empty and holds no comparison; name a new folder")
        title = self.title
        with new_folder(directory) as aside:
            written = [_write(aside, take, self) for take in self.evaluation.takes if self.place(take)]
            page = aside / "listen.html"
            self.evaluation.write(aside / "scores.json", page, title)
            lines = [*table(self.evaluation.scores), "", *(f"{path.name}  {take}" for path, take in written)]
            write_text(aside / f"{title}_comparison_summary.txt", "\n".join(lines) + "\n")

    def place(self, take: Utterance) -> int:
        """Number of a take's contestant, from 1; 0 where it is of trained words, which nobody compares."""
        return next((place for place, one in enumerate(self.contestants, 1) if one.name == take.system), 0)


def compare(
    title: str,
    several: Sequence[Contestant],
    material: TestSet,
    recipe: Recipe,
    baseline: str,
    *,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> Comparison:
    """Let each contestant speak every text with every seed, one after another, so that one base is in memory.

    :param title: name of the voice that it is about.
    :param baseline: name of the contestant that the others are compared with.
    """
    settings = recipe.evaluate
    seeds = range(settings.seed, settings.seed + settings.seeds)
    takes: list[Utterance] = []
    by_heart: list[Utterance] = []
    for one in several:
        logger.info("%s: %d sentences, %d seed(s)", one.name, len(material.texts), len(seeds))
        with opened(one, device, options) as system:
            takes += speak_all([system], material.texts, seeds)
            if one.is_voice:
                by_heart += speak_trained(system, material.trained, settings.trained, settings.seed)
    takes += by_heart
    found = score(takes, material, recipe, judges(load_engine(recipe.engine), recipe, settings.judges), baseline)
    return Comparison(title, several, Evaluation(material, takes, found))


def recipe_of(voice: VoiceFolder, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read the recipe that a voice keeps, with changes. :raises VoiceError: it keeps none."""
    if not voice.recipe.is_file():
        raise VoiceError(f"{voice.path} keeps no recipe.yaml; make the voice again")
    return load_foreign_recipe(voice.recipe, overrides)


def material_of(voice: VoiceFolder, recipe: Recipe, texts: Sequence[str] = ()) -> TestSet:
    """Gather the held-out clips of a voice, and what is to be said.

    :param texts: instead of the words of those clips; with them, clips that cannot be had cost their figures only.
    :raises DataError: there are neither held-out clips nor texts.
    """
    run = RunFolder(recipe.folders.runs / recipe.voice)
    texts = once_each(texts)
    try:
        held = held_material(raw.with_clips(recipe, run), load_engine(recipe.engine), run, voice.name)
    except DataError as reason:
        if not texts:
            raise
        logger.info("no recordings to compare with: %s", reason)
        held = TestSet([], [], language=recipe.transcribe.language)
    found = replace(held, texts=texts) if texts else held
    if not found.texts:
        raise DataError(
            f"{voice.name}: no clip is held out in {run.path}; name some (evaluate.source=FOLDER), or give words "
            "to say (--texts)"
        )
    return found


def _write(folder: Path, take: Utterance, comparison: Comparison) -> tuple[Path, str]:
    one = comparison.contestants[comparison.place(take) - 1]
    number = comparison.evaluation.material.texts.index(take.text) + 1
    many = len(comparison.evaluation.scores.seeds) > 1
    seed = f"_seed{take.seed}" if many else ""
    name = f"{comparison.title}_{comparison.place(take)}_{one.label}_{number:02d}{seed}.wav"
    write_wav(folder / name, [Audio(take.waveform, take.sample_rate)], take.sample_rate)
    return folder / name, f"{take.seconds:.2f} s  {take.text}"
