"""Name the paths of a run folder and of a voice folder, and offer the functions that write there safely."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vtune.runtime.atomic_files import (
    KEPT_FOLDER,
    exclusive_access,
    is_moved_aside,
    make_parent,
    new_file,
    new_folder,
    replace_folder,
    replacement_lock,
    require_new_folder,
    sweep,
    sync_folder,
    write_json,
    write_text,
)
from vtune.runtime.disk import writing

__all__ = [
    "KEPT_FOLDER",
    "LICENCE_NOTE",
    "RunFolder",
    "VoiceFolder",
    "exclusive_access",
    "is_moved_aside",
    "make_parent",
    "new_file",
    "new_folder",
    "replace_folder",
    "replacement_lock",
    "require_new_folder",
    "sweep",
    "sync_folder",
    "write_json",
    "write_text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of ``runs/<voice>/``, which holds everything that a voice was made from.

    :param material: another run whose clips and features this run uses and extends; None for its own.
    """

    path: Path
    material: RunFolder | None = None

    @property
    def clips(self) -> Path:
        """Clips that were cut from raw recordings and transcribed, one folder for each source."""
        return self.material.clips if self.material else self.path / "clips"

    @property
    def features(self) -> Path:
        """Arrow files of encoded clips, with keys made from their content."""
        return self.material.features if self.material else self.path / "dataset"

    @property
    def checkpoints(self) -> Path:
        """One folder for each training, named by its key, with its checkpoints and the finished adapter."""
        return self.path / "checkpoints"

    @property
    def logs(self) -> Path:
        """TensorBoard events and ``metrics.jsonl``."""
        return self.path / "logs"

    @property
    def ledger(self) -> Path:
        """The state of every clip (trained on, held out, left out and why), one JSON line for each."""
        return self.path / "ledger.jsonl"

    @property
    def examination(self) -> Path:
        """Findings of the last check of the clips."""
        return self.material.examination if self.material else self.path / "examination.json"

    @property
    def recipe(self) -> Path:
        """The resolved recipe of the last run."""
        return self.path / "recipe.yaml"

    @property
    def tuning(self) -> Path:
        """Searches for better settings, one folder for each study."""
        return self.path / "tuning"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the run folder against a second run of the voice. :raises VtuneError: another process holds the lock."""
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with exclusive_access(self.path, "another process is running a recipe for this voice"):
            yield


LICENCE_NOTE = "LICENCE-NOTE.md"


@dataclass(frozen=True, slots=True)
class VoiceFolder:
    """Paths of ``voices/<voice>/``, the finished voice. The root of the folder is a PEFT adapter."""

    path: Path

    @property
    def name(self) -> str:
        """The voice's name."""
        return self.path.name

    @property
    def adapter_config(self) -> Path:
        """PEFT's description of the adapter; exists for LoRA and QLoRA."""
        return self.path / "adapter_config.json"

    @property
    def weights(self) -> Path:
        """Every weight of the network; exists for full fine-tuning, instead of an adapter."""
        return self.path / "model.safetensors"

    @property
    def conditioning(self) -> Path:
        """Tensors and strings that synthesis needs beside the adapter."""
        return self.path / "conditioning.safetensors"

    @property
    def record(self) -> Path:
        """The facts about the voice, for programs."""
        return self.path / "voice.json"

    @property
    def card(self) -> Path:
        """The model card: the facts about the voice, for people."""
        return self.path / "README.md"

    @property
    def recipe(self) -> Path:
        """The recipe that made the voice."""
        return self.path / "recipe.yaml"

    @property
    def samples(self) -> Path:
        """The evaluation sentences, spoken by the voice and by its base."""
        return self.path / "samples"

    @property
    def scores(self) -> Path:
        """The scores of the voice, measured against recordings that it was not trained on."""
        return self.path / "scores.json"

    @property
    def page(self) -> Path:
        """The page with the scored utterances, to listen to in a browser."""
        return self.path / "listen.html"
