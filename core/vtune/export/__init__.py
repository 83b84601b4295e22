"""A voice as files that other software takes; one module a target, and ``voice`` for the folder that vtune keeps."""

from vtune.export.existing_voice import CLIP_SAMPLE
from vtune.export.export import TARGETS, Exported, export
from vtune.export.targets.merged import merge_voice
from vtune.export.voice_files import write_licence_note
from vtune.export.voice_folder import voice_record, write_voice

__all__ = [
    "CLIP_SAMPLE",
    "TARGETS",
    "Exported",
    "export",
    "merge_voice",
    "voice_record",
    "write_licence_note",
    "write_voice",
]
