"""What an export target is; each module of ``vtune.export.targets`` declares one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vtune.export.result import ExportResult
    from vtune.export.source import ExportSource
    from vtune.runtime.paths import VoiceFolder
    from vtune.voice_format.record import VoiceRecord


@dataclass(frozen=True, slots=True)
class FolderTarget:
    """A kind of folder that other software loads a voice from; its module declares it as ``TARGET``.

    A module imports torch, NumPy, pydantic and what needs them inside its functions only: ``vtune export --help`` reads
    the modules of all targets.

    :param name: what users write after ``--to``.
    :param description: what it is, a few words for help texts and docs.
    :param dtypes: formats of the weights that ``--dtype`` may name.
    :param check: called with the voice's folder, its record and the export's directory before anything is loaded;
        raises ``VoiceError`` where the target does not take the voice.
    :param merges: whether ``write`` folds the adapter into its base.
    :param networks: how many networks are whole in memory at once while ``write`` works, for the memory estimate.
    :param write: called with the opened voice, the folder to write into, the directory that this folder becomes, and
        the dtype, None for the target's own; reads the result back, and raises ``VoiceError`` where it does not hold.
    """

    name: str
    description: str
    dtypes: tuple[str, ...]
    check: Callable[[VoiceFolder, VoiceRecord, Path], None]
    write: Callable[[ExportSource, Path, Path, str | None], ExportResult]
    merges: bool = False
    networks: int = 1
