"""Export targets of engines and extensions: write, read back and compare; see ``vtune.contract.exports``."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from vtune.contract.exports import ExportTarget, ReadBack, VoiceToExport
from vtune.engines.contributions import Contribution, errors_of
from vtune.errors import EngineError, VoiceError, printable, shown
from vtune.export.result import ExportResult
from vtune.export.target import FolderTarget
from vtune.export.targets.merged import merged_network
from vtune.export.verify import AnswerComparison, Prompt
from vtune.runtime.paths import LICENCE_NOTE

if TYPE_CHECKING:
    import numpy as np

    from vtune.engines.hook_errors import HookErrors
    from vtune.export.source import ExportSource
    from vtune.runtime.paths import VoiceFolder
    from vtune.voice_format.record import VoiceRecord

VOICE_FILES = "voice/"
"""Folder for the voice's own files in the exported folder, apart from the files of the target."""

ADDED_NETWORKS = 2
"""Networks in memory: the voice's own stays, and beside it one is merged for ``write``, or read back by ``compare``."""

OWN_NAMES = frozenset({"README.md", "export.json", LICENCE_NOTE, VOICE_FILES.rstrip("/")})
"""Files that vtune writes into every export."""


def folder_target(added: Contribution[ExportTarget]) -> FolderTarget:
    """Return a target that writes and checks as a plugin's target says."""
    target = added.entry
    write = partial(_write, added)
    return FolderTarget(
        target.name, target.description, target.dtypes, _accept_any_voice, write, networks=ADDED_NETWORKS
    )


def _accept_any_voice(folder: VoiceFolder, record: VoiceRecord, directory: Path) -> None:
    """Refuse nothing: ``write`` refuses a voice that does not fit."""


def _write(
    added: Contribution[ExportTarget], source: ExportSource, directory: Path, destination: Path, dtype: str | None
) -> ExportResult:
    """Write the files and compare. :raises VoiceError: there are no files, or they give other numbers."""
    from vtune.export.card import Form

    target, title = added.entry, _title(added)
    dtype = dtype or target.dtypes[0]
    voice = voice_to_export(source, dtype)
    with errors_of(title, target.write, target.compare).named("write"):
        target.write(voice, directory)
    names = {path.name for path in directory.iterdir()}
    if not names:
        raise EngineError(f"{title}: write wrote no file into the folder that it was given")
    if names & OWN_NAMES:
        raise EngineError(f"{title}: write wrote {sorted(names & OWN_NAMES)[0]!r}, which vtune writes itself")
    how = f"read back by the export target {target.name!r} of {added.owner}"
    prompts = compared_numbers(added, voice, directory)
    _require_close(how, prompts, target.tolerance)
    _require_reading(title, target, voice)
    form = Form(
        target.description[:1].upper() + target.description[1:], "finetune", target.name, target.use, VOICE_FILES
    )
    return ExportResult(form, AnswerComparison(how, prompts, target.tolerance), dtype, notes=target.notes)


def compared_numbers(added: Contribution[ExportTarget], voice: VoiceToExport, directory: Path) -> list[Prompt]:
    """Let a target read its files back, and compare their numbers with those of a voice.

    :raises EngineError: the target gives nothing to compare.
    :raises VoiceError: numbers of the files have another shape than those of the voice.
    """
    title = _title(added)
    errors = errors_of(title, added.entry.write, added.entry.compare)
    pairs = _read_back(errors, title, added.entry, voice, directory)
    return [Prompt(pair.what, _count(pair.expected), _difference(title, pair), None) for pair in pairs]


def _title(added: Contribution[ExportTarget]) -> str:
    return f"{added.owner}: export target {added.entry.name!r}"


def voice_to_export(source: ExportSource, dtype: str) -> VoiceToExport:
    """Return an opened voice as a target gets it.

    :param dtype: format of the weights: ``fp32``, ``fp16`` or ``bf16``.
    """
    voice = source.voice
    voice.model.eval()

    def merge() -> Any:
        voice.engine.require("merging", "fold an adapter into its base")
        return merged_network(copy.deepcopy(voice.model))

    return VoiceToExport(
        voice.record, voice.base, voice.model, merge,
        voice.conditioning, source.options_with(), [clip.text for clip in source.clips],
        [_moved(batch, source.device) for batch in source.batches], voice.stream, source.device, dtype,
    )  # fmt: skip


def _moved(batch: Mapping[str, Any], device: Any) -> dict[str, Any]:
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _read_back(
    errors: HookErrors, title: str, target: ExportTarget, voice: VoiceToExport, directory: Path
) -> list[ReadBack]:
    with errors.named("compare"):
        pairs: Any = target.compare(voice, directory)
    read_back: list[ReadBack] = list(errors.pieces("compare", pairs if pairs is not None else ()))
    if not read_back:
        raise EngineError(f"{title}: compare gave no numbers to compare, so the files are not checked")
    strange = next((pair for pair in read_back if not isinstance(pair, ReadBack)), None)
    if strange is not None:
        raise EngineError(f"{title}: compare gives {shown(strange)}; it must give vtune.contract.exports.ReadBack")
    return read_back


def _difference(title: str, pair: ReadBack) -> float:
    """Return the largest difference of a pair, as a share of the largest expected number; infinite for NaN."""
    import numpy as np

    expected, read_back = _array(title, pair.expected), _array(title, pair.found)
    if expected.shape != read_back.shape:
        raise VoiceError(
            f"{title}: {shown(pair.what)} has the shape {list(read_back.shape)} in the files, but "
            f"{list(expected.shape)} in the voice; nothing was kept"
        )
    largest = float(np.abs(expected).max()) if expected.size else 0.0
    if not np.isfinite(largest) or largest == 0:
        raise EngineError(
            f"{title}: compare expects {'no numbers' if not expected.size else largest} for {shown(pair.what)}"
        )
    difference = np.abs(read_back.astype(np.float64) - expected.astype(np.float64)).max() / largest
    return float(difference) if np.isfinite(difference) else float("inf")


def _array(title: str, value: Any) -> np.ndarray:
    import numpy as np

    array = np.asarray(value.detach().float().cpu().numpy() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "fiub":
        raise EngineError(f"{title}: compare gives {shown(value)}; it must give arrays of numbers")
    return array


def _count(value: Any) -> int:
    import math

    return math.prod(getattr(value, "shape", ()))


def _require_close(how: str, prompts: list[Prompt], tolerance: float) -> None:
    worst = max(prompts, key=lambda prompt: prompt.difference)
    if not worst.difference <= tolerance:
        raise VoiceError(
            f"{how}, what was written gives other numbers than the voice: they differ by {worst.difference:.2e} of the "
            f"largest number for {printable(shown(worst.text))} (allowed {tolerance:.0e}); nothing was kept"
        )


def _require_reading(title: str, target: ExportTarget, voice: VoiceToExport) -> None:
    """Let ``compare`` look into an empty folder: if it gives good numbers there, it does not read the files.

    :raises EngineError: ``compare`` does not read the files.
    """
    with TemporaryDirectory(prefix="vtune-empty-") as empty:
        try:
            pairs = list(target.compare(voice, Path(empty)))
            reads = not all(_difference(title, pair) <= target.tolerance for pair in pairs)
        except (Exception, SystemExit):  # as it should: there is no file
            return
    if not reads:
        raise EngineError(
            f"{title}: compare gives the same numbers without the files, so it does not read them back; nothing was "
            "kept"
        )
