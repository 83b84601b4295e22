"""Examine a data set of any kind: what is wrong with its recordings and its words, where, how much, and what to do."""

from vtune.doctor.budget import options_of
from vtune.doctor.examining import examine
from vtune.doctor.findings import Clip, Examination, Finding, Measure, Severity
from vtune.doctor.fixing import Fixed, check_new, fix
from vtune.doctor.listening import Whole, homes, open_data
from vtune.doctor.measuring import Measures, measure
from vtune.doctor.page import write_page
from vtune.doctor.report import as_data, lines
from vtune.doctor.speech import Speech
from vtune.doctor.troubles import CHECKS
from vtune.doctor.words import letters

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
