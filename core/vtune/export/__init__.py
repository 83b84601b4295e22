"""A voice as files that other software takes; one module a target, and ``voice`` for the folder that vtune keeps."""

from vtune.export.companions import write_licence_note
from vtune.export.exporting import TARGETS, Exported, export
from vtune.export.merged import merge_voice
from vtune.export.standing import CLIP_SAMPLE
from vtune.export.voice import voice_record, write_voice

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
