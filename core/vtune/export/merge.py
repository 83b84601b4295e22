"""Write a voice as one model, its adapter folded into its base, for the user's own use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtune.export.source import open_export_source
from vtune.export.targets.merged import require_merging, write_merged_network
from vtune.export.voice_files import write_licence_note
from vtune.runtime.paths import VoiceFolder, new_folder, require_new_folder
from vtune.runtime.progress import logged_step
from vtune.voice_format.record import read_record
from vtune.voices.memory import require_memory_to_export


def merge_voice(
    folder: VoiceFolder, directory: Path, device: str = "auto", options: Mapping[str, Any] | None = None
) -> float:
    """Fold a voice's adapter into its base and write one model folder in float32, for one's own use: without a card.

    The network of a fully fine-tuned voice is written as it is.

    :returns: the largest difference of the logits, as a share of the largest logit, read back after writing.
    :raises VoiceError: the folder is there already, the voice's base is quantised, or what was written answers
        differently.
    :raises EngineError: the engine does not support merging.
    """
    require_new_folder(directory)
    record = read_record(folder)
    require_merging(folder, record, directory)
    require_memory_to_export(record, device, options, action="merging")
    with logged_step(f"Merging {folder.name}: loading the voice and its base"):
        source = open_export_source(folder, device, options)
    with new_folder(directory, keep=lambda: require_new_folder(directory)) as aside:
        with logged_step(f"Merging {folder.name}: writing the model and comparing its answers with the voice's"):
            compared = write_merged_network(source, aside, "fp32")
        write_licence_note(source.engine.licence(source.voice.base), aside)
    return compared.difference
