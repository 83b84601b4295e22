"""Where things lie, and how they are written so that nothing is ever half there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vtune.runtime.atomic_files import (
    KEPT_FOLDER,
    alone,
    make_parent,
    must_be_new,
    new_file,
    new_folder,
    place_locked,
    settle,
    sweep,
    sync_folder,
    write_json,
    write_text,
)
from vtune.runtime.disk import writing

__all__ = [
    "KEPT_FOLDER", "LICENCE_NOTE", "RunFolder", "VoiceFolder", "alone", "make_parent", "must_be_new", "new_file",
    "new_folder", "place_locked", "settle", "sweep", "sync_folder", "write_json", "write_text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``runs/<voice>/``: how a voice was made.

    :param material: the run whose clips and features this one uses and adds to; its own where none is named.
    """

    path: Path
    material: RunFolder | None = None

    @property
    def clips(self) -> Path:
        """Raw recordings cut and transcribed, one folder a source."""
        return self.material.clips if self.material else self.path / "clips"

    @property
    def features(self) -> Path:
        """Arrow files of encoded clips, keyed by content."""
        return self.material.features if self.material else self.path / "dataset"

    @property
    def checkpoints(self) -> Path:
        """One folder a training (named by its key), each with its checkpoints and the finished adapter."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """TensorBoard events and ``metrics.jsonl``."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """What became of every clip, one JSON line each."""
        return self.path / "ledger.jsonl"

    @property
    def examination(self) -> Path:
        """What was wrong with the clips when they were last looked over."""
        return self.material.examination if self.material else self.path / "examination.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe of the last run."""
        return self.path / "recipe.yaml"

    @property
    def tuning(self) -> Path:
        """Searches for better settings, one folder a study."""
        return self.path / "tuning"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run of the same voice out. :raises VtuneError: one is going on."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with alone(self.path, "another run of this voice is going on"):
            yield


LICENCE_NOTE = "LICENCE-NOTE.md"


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """``voices/<voice>/``: what is shipped. Its root is a PEFT adapter."""

    path: Path

    @property
    def name(self) -> str:
        """The voice's name."""
        return self.path.name

    @property
    def adapter_config(self) -> Path:
        """PEFT's own description; there for LoRA and QLoRA."""
        return self.path / "adapter_config.json"

    @property
    def weights(self) -> Path:
        """Every weight of the network; there for full fine-tuning instead of an adapter."""
        return self.path / "model.safetensors"

    @property
    def conditioning(self) -> Path:
        """What synthesis needs beside the adapter."""
        return self.path / "conditioning.safetensors"

    @property
    def record(self) -> Path:
        """Facts about the voice for programs."""
        return self.path / "voice.json"

    @property
    def card(self) -> Path:
        """Facts about the voice for people."""
        return self.path / "README.md"

    @property
    def recipe(self) -> Path:
        """The recipe that made it."""
        return self.path / "recipe.yaml"

    @property
    def samples(self) -> Path:
        """The evaluation sentences, spoken by the voice and by its base."""
        return self.path / "samples"

    @property
    def scores(self) -> Path:
        """How the voice was scored against recordings that it was not trained on."""
        return self.path / "scores.json"

    @property
    def page(self) -> Path:
        """The same to listen to, in a browser."""
        return self.path / "listen.html"
