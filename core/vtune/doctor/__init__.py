"""Examine a data set of any kind: what is wrong with its recordings and its words, where, how much, and what to do."""

from vtune.doctor.budget import options_of
from vtune.doctor.examining import examine
from vtune.doctor.findings import Clip, Examination, Finding, Measure, Severity
from vtune.doctor.fixing import Fixed, check_new, fix
from vtune.doctor.listening import homes, open_data
from vtune.doctor.page import write_page
from vtune.doctor.report import as_data, lines
from vtune.doctor.troubles import CHECKS

__all__ = [
    "CHECKS",
    "Clip",
    "Examination",
    "Finding",
    "Fixed",
    "Measure",
    "Severity",
    "as_data",
    "check_new",
    "examine",
    "fix",
    "homes",
    "lines",
    "open_data",
    "options_of",
    "write_page",
]
