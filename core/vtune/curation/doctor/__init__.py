"""Examine a data set of any kind: what is wrong with its recordings and its words, where, how much, and what to do."""

from vtune.curation.doctor.checks import CHECKS
from vtune.curation.doctor.examine import examine
from vtune.curation.doctor.findings import Clip, Examination, Finding, Measure, Severity
from vtune.curation.doctor.fix import Fixed, check_new, fix
from vtune.curation.doctor.measure import Measures, measure
from vtune.curation.doctor.page import write_page
from vtune.curation.doctor.recordings import Whole, homes, open_data
from vtune.curation.doctor.report import as_data, lines
from vtune.curation.doctor.speech_levels import Speech
from vtune.curation.doctor.text_checks import letters
from vtune.curation.doctor.token_budget import options_of

__all__ = [
    "CHECKS",
    "Clip",
    "Examination",
    "Finding",
    "Fixed",
    "Measure",
    "Measures",
    "Severity",
    "Speech",
    "Whole",
    "as_data",
    "check_new",
    "examine",
    "fix",
    "homes",
    "letters",
    "lines",
    "measure",
    "open_data",
    "options_of",
    "write_page",
]
