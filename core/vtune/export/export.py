"""A voice to a folder of one of the targets: whole or not at all, checked after writing, with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from vtune.errors import VoiceError, choices, reason, shown
from vtune.evaluation import read_scores
from vtune.export import consent
from vtune.export.card import write_card
from vtune.export.result import Written
from vtune.export.source import Source, open_source
from vtune.export.targets import gguf_ready, merged, peft, vllm
from vtune.export.voice_files import write_licence_note, write_records
from vtune.runtime.paths import VoiceFolder, must_be_new, new_folder, write_json
from vtune.runtime.version import VTUNE_VERSION
from vtune.voice_format.record import VoiceRecord, read_record, write_conditioning

VERSION = 1
"""Of ``export.json``."""


class Target(Protocol):
    """What each module of a target has."""

    def require(self, folder: VoiceFolder, record: VoiceRecord, place: Path, dtype: str | None) -> None:
        """Refuse before anything is loaded. :raises VoiceError: it cannot be."""

    def write(self, source: Source, directory: Path, place: Path, dtype: str | None) -> Written:
        """Write into ``directory``, which becomes ``place``, and read it back. :raises VoiceError: it does not hold."""


TARGETS: dict[str, Target] = {"peft": peft, "merged": merged, "gguf-ready": gguf_ready, "vllm": vllm}
"""Targets by the name that users write."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and what was found when it was read back."""

    directory: Path
    voice: str
    target: str
    written: Written

    def lines(self) -> Sequence[str]:
        """Tell it to a user."""
        written = self.written
        return [
            f"{self.directory}: {self.voice} as {self.target}, {written.dtype}",
            f"checked: {written.compared.describe()}",
            *(f"rule: {name}: {found}" for name, found in written.rules.items()),
            *(f"note: {note}" for note in written.notes),
            *written.commands,
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
) -> Exported:
    """Write a voice as other software takes it, with its card, its records and ``export.json``.

    :param directory: does not exist, or is empty.
    :param target: one of ``TARGETS``.
    :param dtype: ``bf16``, ``fp16`` or ``fp32``, of a merged model; default: the target's.
    :param without_consent: what somebody says who answers for a voice that states no consent.
    :param options: engine options that differ from those it was trained with, e.g. where the base lies now.
    :raises VoiceError: the voice states no consent, does not fit the target, or what was written answers differently.
    """
    if target not in TARGETS:
        raise VoiceError(f"no target {shown(target)}{choices(target, TARGETS, 'targets')}")
    must_be_new(directory)
    record = read_record(folder)
    overridden = consent.settle(record, without_consent)
    TARGETS[target].require(folder, record, directory, dtype)
    scores = read_scores(folder.scores)
    source = open_source(folder, device, options)
    # What the user changed, say where the base lies now, is true of what is exported.
    record = record.model_copy(update={"engine_options": source.options_with().model_dump(mode="json")})
    with new_folder(directory, keep=lambda: must_be_new(directory)) as aside:
        written = TARGETS[target].write(source, aside, directory, dtype)
        checks = (written.compared.describe(), *(f"{rule}: {found}" for rule, found in written.rules.items()))
        form = replace(written.form, checked=checks, overridden=overridden)
        kept = aside / form.files
        kept.mkdir(exist_ok=True)
        write_records(folder, record, kept)
        if kept != aside:
            write_conditioning(source.voice.conditioning, VoiceFolder(kept).conditioning)
        write_licence_note(source.engine, aside)
        write_json(aside / "export.json", _facts(record, target, written, overridden))
        try:
            write_card(VoiceFolder(aside).card, record, source.settings, scores, form)
        except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
            raise VoiceError(
                f"{folder.path}: voice.json and recipe.yaml do not make a card ({reason(error)})"
            ) from error
    return Exported(directory, record.name, target, written)


def _facts(record: VoiceRecord, target: str, written: Written, overridden: str | None) -> dict[str, Any]:
    return {
        "version": VERSION,
        "voice": record.name,
        "target": target,
        "engine": record.engine,
        "base": written.base,
        "fingerprint": record.fingerprint,
        "dtype": written.dtype,
        "consent": "stated" if overridden is None else overridden,
        "checked": written.compared.settings(),
        "rules": dict(written.rules),
        "commands": list(written.commands),
        "notes": list(written.notes),
        "vtune": VTUNE_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
