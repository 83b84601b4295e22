"""What voices are asked to say, and the recordings that they are compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

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


def once_each(texts: Iterable[str]) -> list[str]:
    """Drop words that come again, and nothing."""
    return list(dict.fromkeys(text.strip() for text in texts if text.strip()))
