"""Transcribe recordings, flag doubtful transcripts, and check existing transcripts against the recordings."""

from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.check import CheckedRow, CheckReport, check_folder, check_source
from vtune.ingest.transcribe.folder import transcribe_folder
from vtune.ingest.transcribe.recogniser import Recogniser, Transcript
from vtune.ingest.transcribe.report import TranscribeReport

__all__ = [
    "CheckReport",
    "CheckedRow",
    "Recogniser",
    "TranscribeReport",
    "Transcript",
    "check_folder",
    "check_source",
    "open_recogniser",
    "transcribe_folder",
]
