"""Examine a data set: find what is wrong with its recordings and words, where, how much, and what to do about it."""

from vtune.curation.doctor.check_titles import CHECK_TITLES
from vtune.curation.doctor.examine import examine
from vtune.curation.doctor.findings import Examination, ExaminedClip, Finding, Measure, RowLocation, Severity
from vtune.curation.doctor.measure import Measures, measure
from vtune.curation.doctor.page import write_page
from vtune.curation.doctor.recording_openers import MemoryRecording, open_data, source_folders
from vtune.curation.doctor.repaired_copy import RepairReport, check_new_folder, write_repaired_copy
from vtune.curation.doctor.speech_levels import SpeechLevels
from vtune.curation.doctor.text_checks import count_letters
from vtune.curation.doctor.text_report import as_data, lines
from vtune.curation.doctor.thresholds import is_cut_off
from vtune.curation.doctor.token_budget import check_options

__all__ = [
    "CHECK_TITLES",
    "Examination",
    "ExaminedClip",
    "Finding",
    "Measure",
    "Measures",
    "MemoryRecording",
    "RepairReport",
    "RowLocation",
    "Severity",
    "SpeechLevels",
    "as_data",
    "check_new_folder",
    "check_options",
    "count_letters",
    "examine",
    "is_cut_off",
    "lines",
    "measure",
    "open_data",
    "source_folders",
    "write_page",
    "write_repaired_copy",
]
