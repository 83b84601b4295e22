"""Export a voice to one of the targets: whole or not at all, read back after writing, with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtune.engines import Engine, load_engine
from vtune.engines.contributions import Contribution, joined
from vtune.errors import VoiceError, choices, reason, shown
from vtune.evaluation import read_scores
from vtune.export import consent
from vtune.export.added_target import folder_target
from vtune.export.card import write_card
from vtune.export.result import ExportResult
from vtune.export.source import open_export_source
from vtune.export.target import FolderTarget
from vtune.export.targets import TARGETS
from vtune.export.voice_files import write_licence_note, write_records
from vtune.runtime.paths import VoiceFolder, new_folder, require_new_folder, write_json
from vtune.runtime.progress import logged_step
from vtune.runtime.version import VTUNE_VERSION
from vtune.voice_format.record import VoiceRecord, read_record, write_conditioning
from vtune.voices.memory import require_memory_to_export

if TYPE_CHECKING:
    from vtune.export.hub_push import RepoType

EXPORT_JSON_VERSION = 1


@dataclass(frozen=True, slots=True)
class ExportedVoice:
    """An exported voice, with the result of reading its files back."""

    directory: Path
    voice: str
    target: str
    result: ExportResult

    def lines(self) -> Sequence[str]:
        """Return the lines that a user reads."""
        result = self.result
        return [
            f"{self.directory}: {self.voice} as {self.target}, {result.dtype}",
            f"checked: {result.compared.describe()}",
            *(f"rule: {name}: {value}" for name, value in result.rules.items()),
            *(f"note: {note}" for note in result.notes),
            *result.commands,
        ]


def export(
    folder: VoiceFolder,
    directory: Path,
    target: str,
    *,
    dtype: str | None = None,
    without_consent: str | None = None,
    device: str = "auto",
    options: Mapping[str, Any] | None = None,
) -> ExportedVoice:
    """Write a voice as a folder for other software, with its card, its records and ``export.json``.

    :param directory: does not exist, or is empty.
    :param target: one of vtune's own, of the voice's engine or of an extension.
    :param dtype: format of the weights, ``bf16``, ``fp16`` or ``fp32``; default: the target's.
    :param without_consent: the sentence of a user who answers for a voice that states no consent.
    :param options: engine options that differ from those of the training, for example where the base lies now.
    :raises VoiceError: the voice states no consent, does not fit the target, or the files answer differently.
    """
    require_new_folder(directory)
    record = read_record(folder)
    targets = export_targets(load_engine(record.engine))
    if target not in targets:
        raise VoiceError(
            f"there is no export target {shown(target)} for voices of the engine {record.engine!r}"
            f"{choices(target, targets, 'targets')}"
        )
    overridden = consent.require_consent(record, without_consent)
    _require_dtype(targets[target], dtype, targets)
    targets[target].check(folder, record, directory)
    action = "merging" if targets[target].merges else "exporting"
    require_memory_to_export(record, device, options, networks=targets[target].networks, action=action)
    scores = read_scores(folder.scores)
    with logged_step(f"Exporting {record.name} to {target}: loading the voice and its base"):
        source = open_export_source(folder, device, options)
    # Options that the user changed, such as the folder of the base, belong to the exported voice.
    record = record.model_copy(update={"engine_options": source.options_with().model_dump(mode="json")})
    with new_folder(directory, keep=lambda: require_new_folder(directory)) as aside:
        with logged_step(f"Exporting {record.name} to {target}: writing the files and comparing what they answer"):
            result = targets[target].write(source, aside, directory, dtype)
        checks = (result.compared.describe(), *(f"{rule}: {value}" for rule, value in result.rules.items()))
        form = replace(result.form, checked=checks, overridden=overridden)
        kept = aside / form.files
        kept.mkdir(exist_ok=True)
        write_records(folder, record, kept)
        if kept != aside:
            write_conditioning(source.voice.conditioning, VoiceFolder(kept).conditioning)
        write_licence_note(source.engine.licence(source.voice.base), aside)
        write_json(aside / "export.json", _facts(record, target, result, overridden))
        try:
            write_card(VoiceFolder(aside).card, record, source.settings, scores, form)
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            raise VoiceError(
                f"{folder.path}: voice.json and recipe.yaml do not make a card ({reason(error)})"
            ) from error
    return ExportedVoice(directory, record.name, target, result)


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """The arguments of ``export``."""

    folder: VoiceFolder
    directory: Path
    target: str
    dtype: str | None = None
    without_consent: str | None = None
    device: str = "auto"
    options: Mapping[str, Any] | None = None


def export_and_push(request: ExportRequest, repository: str, *, public: bool = False) -> list[str]:
    """Export a voice and push the folder to the Hub; return the lines that a user reads.

    Consent, base and repository are checked before the export's long work begins.

    :param repository: ``owner/name``, or a name alone for the user's own.
    :raises VoiceError: see ``export`` and ``vtune.export.hub_push``.
    """
    from vtune.export.hub_push import open_hub_target, push
    from vtune.export.publishable import require_public_base

    record = read_record(request.folder)
    consent.require_consent(record, request.without_consent)
    options = {**record.engine_options, **(request.options or {})}
    require_public_base(record.model_copy(update={"engine_options": options}))
    repo_type: RepoType = "space" if request.target == "space" else "model"
    target = open_hub_target(repository, repo_type, public=public)
    exported = export(
        request.folder, request.directory, request.target,
        dtype=request.dtype, without_consent=request.without_consent, device=request.device, options=request.options,
    )  # fmt: skip
    pushed = push(request.directory, target, record.name)
    checked = exported.lines()[1]
    return [checked, *pushed.lines(target.repository, repo_type)]


def export_targets(engine: Engine) -> dict[str, FolderTarget]:
    """Return every target for the voices of an engine by name: vtune's own, the engine's, and those of extensions.

    :raises EngineError: two targets have one name, or a plugin lists something other than a target.
    """
    added = [Contribution(item.owner, folder_target(item)) for item in engine.export_targets()]
    return joined(TARGETS, added, "export_targets")


def _require_dtype(target: FolderTarget, dtype: str | None, targets: Mapping[str, FolderTarget]) -> None:
    """Refuse a format of the weights that a target does not write, and name the targets that write it."""
    if dtype is None or dtype in target.dtypes:
        return
    names = [name for name, candidate in targets.items() if dtype in candidate.dtypes]
    instead = f"; --dtype {dtype} goes with --to {' or '.join(names)}" if names else ""
    raise VoiceError(f"--dtype {dtype}: --to {target.name} writes {' or '.join(target.dtypes)} only{instead}")


def _facts(record: VoiceRecord, target: str, result: ExportResult, overridden: str | None) -> dict[str, Any]:
    return {
        "version": EXPORT_JSON_VERSION,
        "voice": record.name,
        "target": target,
        "engine": record.engine,
        "base": result.base,
        "fingerprint": record.fingerprint,
        "dtype": result.dtype,
        "consent": "stated" if overridden is None else overridden,
        "checked": result.compared.settings(),
        "rules": dict(result.rules),
        "commands": list(result.commands),
        "notes": list(result.notes),
        "vtune": VTUNE_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
