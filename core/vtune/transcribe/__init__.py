"""What is said in recordings, written down, with reasons to doubt it; and transcripts that stand, heard again."""

from vtune.transcribe.backends import open_recogniser
from vtune.transcribe.checking import CheckReport, Compared, check_folder, check_source
from vtune.transcribe.folder import transcribe_folder
from vtune.transcribe.hearing import Heard, Recogniser
from vtune.transcribe.report import Report

__all__ = [
    "CheckReport",
    "Compared",
    "Heard",
    "Recogniser",
    "Report",
    "check_folder",
    "check_source",
    "open_recogniser",
    "transcribe_folder",
]
