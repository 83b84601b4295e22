"""What voices are asked to say, and the recordings that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vtune import dataset
from vtune.engines import Engine
from vtune.folders import RunFolder
from vtune.pauses import is_speakable
from vtune.recipe import Recipe
from vtune.types import Clip


@dataclass(frozen=True, slots=True)
class Material:
    """Held-out words and sound of one voice.

    :param texts: that are spoken, each once.
    :param clips: recordings of the voice that nothing was trained on; perhaps of other words.
    :param trained: words that it was trained on, where they are known.
    :param others: recordings of other people, where there are some: how near does a stranger come?
    :param language: of the words, as Whisper names it; None where nobody said.
    """

    texts: Sequence[str]
    clips: Sequence[Clip]
    trained: Sequence[str] = ()
    others: Sequence[Clip] = ()
    language: str | None = "en"
    recordings: Mapping[str, Clip] = field(init=False)
    """The clip of each text that has one."""

    def __post_init__(self) -> None:
        # One of each words: takes are told apart by them.
        clips = {clip.text: clip for clip in reversed(self.clips)}
        object.__setattr__(self, "clips", [clip for clip in self.clips if clips[clip.text] is clip])
        object.__setattr__(self, "recordings", {text: clips[text] for text in self.texts if text in clips})


def held_material(recipe: Recipe, engine: Engine, run: RunFolder, voice: str) -> Material:
    """Gather what a voice of a recipe is scored by. :raises DataError: see ``vtune.dataset.held_out``."""
    clips = dataset.held_out(recipe, engine, run, voice)
    return Material(
        once_each(clip.text for clip in clips),
        clips,
        dataset.trained_words(run, voice),
        dataset.of_strangers(recipe, engine, run, voice),
        recipe.transcribe.language,
    )


def once_each(texts: Iterable[str]) -> list[str]:
    """Drop texts that come again, and those without a letter or a digit."""
    return list(dict.fromkeys(text.strip() for text in texts if is_speakable(text)))
