"""What a release of IndexTTS2 decides beyond the classes of its networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch

from vtune import Waveform
from vtune_indextts2.multilingual.languages import AUTO
from vtune_indextts2.recording_tensors import FlowPrompt, RecordingFeatures

if TYPE_CHECKING:
    from vtune import Conditioning
    from vtune_indextts2.base import IndexTTS2Base
    from vtune_indextts2.config import Config
    from vtune_indextts2.gpt.network import SemanticGPT
    from vtune_indextts2.options import IndexTTS2Options
    from vtune_indextts2.semantic.codec import SemanticCodec
    from vtune_indextts2.speaker_reference import SpeakerPrompt

Content = Callable[[Sequence[int], Sequence[int]], tuple[torch.Tensor, int]]
"""Turns text ids and codes of a segment into content ``[1 x steps x H]`` and the number of its mel frames."""

Shape = tuple[int | None, ...]
"""The shape of a stored tensor; None for an axis that depends on the length of the reference."""


class Text(Protocol):
    """Turns texts into token ids; the language is a tag for the releases that have tags."""

    def resolve(self, text: str, tag: str, usual: str | None = None) -> str:
        """Return the tag of the language that a text is spoken in, an empty one if the release has no tags.

        :param tag: what the user asks for, or ``auto``.
        :param usual: the language of the voice.
        :raises EngineError: the text does not fit the language.
        """
        ...

    def row(self, tag: str) -> int | None:
        """Return the row of a resolved language in the GPT; None if the release has no rows."""
        ...

    def tokenize(self, text: str, tag: str = AUTO) -> list[int]:
        """Return the ids of a text as one segment; no ids for a text without words."""
        ...

    def spoken_segments(self, text: str, longest: int, quick: int = 0, tag: str = AUTO) -> list[list[int]]:
        """Return the ids of each segment; a segment that cannot be read out is an empty list."""
        ...

    def identity(self, tag: str = AUTO) -> str:
        """Return names and versions of what normalises texts of a language; ``auto``: of all languages."""
        ...


class Release(ABC):
    """One release: its inputs of the GPT, its codec, and its way from codes to content."""

    stored_speaker: ClassVar[str]
    """The tensor of a voice that tells the GPT who speaks."""

    averaged: ClassVar[tuple[str, ...]]
    """The tensors of a voice without a time axis, which can be averaged."""

    @abstractmethod
    def check(self, options: IndexTTS2Options) -> None:
        """Check options that not every release has. :raises EngineError: the release does not have one."""

    @abstractmethod
    def load_codec(self, base: IndexTTS2Base) -> SemanticCodec:
        """Load the semantic codec, on the CPU."""

    @abstractmethod
    def make_text(self, base: IndexTTS2Base) -> Text:
        """Create what turns texts into ids."""

    @abstractmethod
    def fingerprint(self, base: IndexTTS2Base) -> dict[str, str]:
        """Return what a voice of this release depends on, beyond what voices of every release do."""

    @abstractmethod
    def encode_recording(
        self, base: IndexTTS2Base, features: torch.Tensor, waveform: Waveform, sample_rate: int
    ) -> RecordingFeatures:
        """Compute everything that is learned from a recording with these semantic features ``[1 x T x F]``."""

    @abstractmethod
    def join(self, condition: torch.Tensor, emotion: torch.Tensor) -> torch.Tensor:
        """Join a speaker and an emotion vector ``[... x D]`` to what the GPT is told."""

    @abstractmethod
    def voice_tensors(
        self, base: IndexTTS2Base, features: RecordingFeatures, flow_prompt: FlowPrompt
    ) -> Mapping[str, torch.Tensor]:
        """Return what a voice keeps beside the tensors that voices of every release keep."""

    @abstractmethod
    def stored_shapes(self, config: Config) -> dict[str, Shape]:
        """Return the shapes of the tensors that ``voice_tensors`` returns and that speaking reads."""

    @abstractmethod
    def content(
        self, base: IndexTTS2Base, network: SemanticGPT, speaker: SpeakerPrompt, voice: Conditioning,
        options: IndexTTS2Options,
    ) -> Content:  # fmt: skip
        """Return what turns codes of an utterance into the content that the flow speaks."""
