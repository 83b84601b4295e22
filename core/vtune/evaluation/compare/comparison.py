"""Several contestants speak the same texts with the same seeds; what they speak is measured and written out."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vtune.audio import write_wav
from vtune.engines import engine_of, load_foreign_recipe
from vtune.errors import DataError, VoiceError
from vtune.evaluation import (
    Evaluation,
    Selection,
    TestSet,
    Utterance,
    held_out_test_set,
    may_read_numbers,
    metric_makers,
    read_selection,
    score,
    synthesize_all,
    synthesize_train_sentences,
    unique_texts,
    with_numbers,
)
from vtune.evaluation.compare.contestants import Contestant, opened
from vtune.evaluation.compare.table import table
from vtune.ingest.raw_sources import prepared_recipe
from vtune.recipe import Recipe, SourceRecipe
from vtune.runtime.paths import RunFolder, VoiceFolder, new_folder, write_text
from vtune.types import Audio
from vtune.voice_format.record import read_record

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was compared, and what was measured.

    :param title: name of the voice that the comparison is about.
    :param selection: the rule that gives each contestant its quality.
    """

    title: str
    contestants: Sequence[Contestant]
    evaluation: Evaluation
    selection: Selection

    def write(self, directory: Path) -> None:
        """Write sound, scores, a page to listen to and a summary into a folder, whole or not at all.

        Files are named ``<voice>_<number>_<label>_<text>.wav``, so that a file browser sorts them by contestant.

        :raises VoiceError: the folder holds something that is not a comparison.
        """
        if directory.is_dir() and any(directory.iterdir()) and not (directory / "scores.json").is_file():
            raise VoiceError(f"{directory} is not empty and holds no comparison; name a new folder")
        with new_folder(directory) as folder:
            sounds = [
                _write(folder, utterance, self) for utterance in self.evaluation.utterances if self.number(utterance)
            ]
            self.evaluation.write(folder / "scores.json", folder / "listen.html", self.title)
            lines = [*self.table(), "", *(f"{path.name}  {description}" for path, description in sounds)]
            write_text(folder / f"{self.title}_comparison_summary.txt", "\n".join(lines) + "\n")

    def table(self) -> list[str]:
        """Return the scores as lines for the terminal."""
        return table(self.evaluation.scores, self.selection)

    def number(self, utterance: Utterance) -> int:
        """Number of an utterance's contestant, from 1; 0 for sentences of the training, which are not compared."""
        names = [contestant.name for contestant in self.contestants]
        return names.index(utterance.system) + 1 if utterance.system in names else 0


def compare(
    title: str,
    several: Sequence[Contestant],
    test_set: TestSet,
    recipe: Recipe,
    baseline: str,
    *,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> Comparison:
    """Let each contestant speak every text with every seed, one after another, so that one base is in memory.

    :param title: name of the voice that the comparison is about.
    :param baseline: name of the contestant that the others are compared with.
    """
    settings = recipe.evaluate
    engine = engine_of(recipe)
    selection, makers = read_selection(engine, recipe), metric_makers(engine, recipe, settings.metrics)
    seeds = range(settings.seed, settings.seed + settings.seeds)
    utterances: list[Utterance] = []
    trained: list[Utterance] = []
    for contestant in several:
        logger.info("%s speaks %d sentence(s) with %d seed(s)", contestant.name, len(test_set.texts), len(seeds))
        with opened(contestant, device, options) as system:
            spoken = synthesize_all([system], test_set.texts, seeds)
            utterances += with_numbers(spoken, [system]) if may_read_numbers(makers) else spoken
            if contestant.is_voice:
                trained += synthesize_train_sentences(
                    system, test_set.train_texts, settings.train_sentences, settings.seed
                )
    utterances += trained
    scores = score(utterances, test_set, recipe, makers, baseline)
    return Comparison(title, several, Evaluation(test_set, utterances, scores), selection)


def recipe_of(voice: VoiceFolder, overrides: Sequence[str] | Mapping[str, Any] = ()) -> Recipe:
    """Read the recipe in a voice's folder, with changes. :raises VoiceError: there is none."""
    if not voice.recipe.is_file():
        raise VoiceError(f"{voice.path} holds no recipe.yaml; make the voice again")
    recipe = load_foreign_recipe(voice.recipe, overrides)
    source = recipe.evaluate.source
    if source is None or read_record(voice).imported is None:
        return recipe
    # The recordings that an imported voice was trained on are not known; its recipe names a folder that may not exist.
    return recipe.model_copy(update={"data": [SourceRecipe(source=source)]})


def gather_test_set(voice: VoiceFolder, recipe: Recipe, texts: Sequence[str] = ()) -> TestSet:
    """Gather the held-out clips of a voice, and the texts to speak.

    :param texts: spoken instead of the words of those clips; then missing clips only cost the metrics that need them.
    :raises DataError: there are neither held-out clips nor texts.
    """
    run = RunFolder(recipe.folders.runs / recipe.voice)
    texts = unique_texts(texts)
    try:
        held = held_out_test_set(prepared_recipe(recipe, run), engine_of(recipe), run, voice.name)
    except DataError as reason:
        if not texts:
            raise
        logger.info("There are no recordings to compare with: %s", reason)
        held = TestSet([], [], language=recipe.transcribe.language)
    test_set = replace(held, texts=texts) if texts else held
    if not test_set.texts:
        raise DataError(
            f"{voice.name}: no clip is held out in {run.path}; name recordings (evaluate.source=FOLDER), or give texts "
            "to speak (--texts)"
        )
    return test_set


def _write(folder: Path, utterance: Utterance, comparison: Comparison) -> tuple[Path, str]:
    contestant = comparison.contestants[comparison.number(utterance) - 1]
    text_number = comparison.evaluation.test_set.texts.index(utterance.text) + 1
    many = len(comparison.evaluation.scores.seeds) > 1
    seed = f"_seed{utterance.seed}" if many else ""
    name = f"{comparison.title}_{comparison.number(utterance)}_{contestant.label}_{text_number:02d}{seed}.wav"
    write_wav(folder / name, [Audio(utterance.waveform, utterance.sample_rate)], utterance.sample_rate)
    return folder / name, f"{utterance.seconds:.2f} s  {utterance.text}"
