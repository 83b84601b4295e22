"""An examination in words for the terminal, and as plain data for programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from vtune.curation.doctor.checks import CHECKS
from vtune.curation.doctor.findings import Examination, Finding, Severity
from vtune.errors import printable

VERSION = 1
"""Of the keys in ``as_data``; raised when one changes its meaning or goes."""

SHOWN = 5
"""Findings of each check that the terminal gets."""


def lines(examination: Examination, shown: int = SHOWN) -> Iterator[str]:
    """Say it: what was read, each check with its worst findings, what was left out, what the speech is good for."""
    for line in examination.description:
        yield printable(line)
    minutes = sum(clip.seconds for clip in examination.clips) / 60
    usable = examination.usable
    used = sum(clip.seconds for clip in usable) / 60
    yield (
        f"{_count(len(examination.clips), 'row')} ({minutes:.1f} min), {_count(examination.recordings, 'recording')}; "
        f"{len(usable):,} can be trained on ({used:.1f} min)"
    )
    counts = examination.counts
    yield ", ".join(_count(counts[severity], severity.value) for severity in Severity)
    for (severity, check), group in groupby(examination.findings, key=lambda one: (one.severity, one.check)):
        found = list(group)
        yield ""
        yield f"{severity.value} {check}: {CHECKS[check]} ({len(found):,})"
        for finding in found[:shown]:
            yield f"  {in_a_line(finding)}"
        if len(found) > shown:
            yield f"  ... and {len(found) - shown:,} more (--json and --html have all)"
    yield ""
    for reason in examination.left_out:
        yield printable(f"not checked: {reason}")
    for advice in examination.advice:
        yield printable(advice)


def in_a_line(finding: Finding) -> str:
    """Say one finding: place, recording, what was found, what to do."""
    named = f" {os.path.basename(finding.audio)}" if finding.audio and finding.audio != finding.file else ""
    return printable(f"{finding.place}{named}: {finding.message}; {finding.advice}")


def as_data(examination: Examination) -> dict[str, Any]:
    """Return plain data with stable keys; names that are no text are escaped by JSON itself."""
    counts = examination.counts
    return {
        "version": VERSION,
        "source": list(examination.description),
        "engine": examination.engine,
        "rows": len(examination.clips),
        "recordings": examination.recordings,
        "seconds": round(sum(clip.seconds for clip in examination.clips), 3),
        "usable_rows": len(examination.usable),
        "usable_seconds": round(sum(clip.seconds for clip in examination.usable), 3),
        "counts": {severity.value: counts[severity] for severity in Severity},
        "findings": [asdict(finding) for finding in examination.findings],
        "left_out": list(examination.left_out),
        "advice": list(examination.advice),
        "clips": [asdict(clip) for clip in examination.clips],
    }


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
