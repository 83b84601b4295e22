"""Transcribe recordings, flag doubtful transcripts, and check existing transcripts against the recordings."""

from vtune.contract.recognisers import Recogniser, Transcript
from vtune.ingest.transcribe.backends import find_backend, open_recogniser, recogniser_backends
from vtune.ingest.transcribe.check import CheckedRow, CheckReport, check_folder, check_source
from vtune.ingest.transcribe.folder import transcribe_folder
from vtune.ingest.transcribe.report import TranscribeReport

__all__ = [
    "CheckReport",
    "CheckedRow",
    "Recogniser",
    "TranscribeReport",
    "Transcript",
    "check_folder",
    "check_source",
    "find_backend",
    "open_recogniser",
    "recogniser_backends",
    "transcribe_folder",
]
