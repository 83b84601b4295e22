"""What is said in recordings, written down, with reasons to doubt it; and transcripts that stand, heard again."""

from vtune.ingest.transcribe.backends import open_recogniser
from vtune.ingest.transcribe.check import CheckReport, Compared, check_folder, check_source
from vtune.ingest.transcribe.folder import transcribe_folder
from vtune.ingest.transcribe.recogniser import Recogniser, Transcript
from vtune.ingest.transcribe.report import Report

__all__ = [
    "CheckReport",
    "Compared",
    "Recogniser",
    "Report",
    "Transcript",
    "check_folder",
    "check_source",
    "open_recogniser",
    "transcribe_folder",
]
