"""The files that vtune's own steps leave beside clips and tables; no source of words takes them for its own."""

from __future__ import annotations

import re

JOURNAL_SUFFIX = ".heard.jsonl"
"""Suffix of the journal that ``vtune transcribe`` keeps beside its table."""

_OWN_FILE = re.compile(r"(ledger|review|fixes)\.jsonl|check\.csv|.*\.heard\.jsonl")


def is_own_file(name: str) -> bool:
    """Tell from the name of a file whether a step of vtune wrote it."""
    return _OWN_FILE.fullmatch(name) is not None
