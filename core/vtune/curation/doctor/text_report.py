"""Print an examination as text for the terminal, and as plain data for programs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from vtune.curation.doctor.check_titles import CHECK_TITLES
from vtune.curation.doctor.findings import Examination, Finding, Severity
from vtune.dataset.sources.fragments import without_neighbours
from vtune.errors import printable

DATA_VERSION = 2
"""Version of the keys in ``as_data``; increase it when a key changes its meaning or is removed."""

SHOWN_FINDINGS = 5
"""Findings of each check that the terminal shows."""

_MEANINGS = {
    Severity.ERROR: " (a run leaves the row out, or it teaches something wrong)",
    Severity.WARNING: " (the voice may get worse)",
    Severity.NOTE: " (for your information)",
}


def lines(examination: Examination, shown: int = SHOWN_FINDINGS) -> Iterator[str]:
    """Yield the report as lines of text: the source, the worst findings of each check, skipped checks, and advice."""
    for line in examination.description:
        yield printable(line)
    minutes = sum(clip.seconds for clip in examination.clips) / 60
    usable = examination.usable
    used = sum(clip.seconds for clip in usable) / 60
    recordings = _count(examination.recordings, "recording")
    if examination.has_words:
        yield (
            f"{_count(len(examination.clips), 'row')} ({minutes:.1f} min), {recordings}; "
            f"{len(usable):,} of the rows can be used for training ({used:.1f} min)"
        )
    else:
        yield f"{recordings} ({minutes:.1f} min); the sound of {len(usable):,} is usable ({used:.1f} min)"
        yield "no recording can be used for training before it was cut and transcribed, which a run does"
    counts = examination.counts
    yield ", ".join(
        f"{_count(counts[severity], severity.value)}{_MEANINGS[severity] if counts[severity] else ''}"
        for severity in Severity
    )
    for (severity, check), group in groupby(
        examination.findings, key=lambda finding: (finding.severity, finding.check)
    ):
        findings = list(group)
        yield ""
        yield f"{severity.value} {check}: {CHECK_TITLES[check]} ({len(findings):,})"
        for finding in findings[:shown]:
            yield f"  {in_a_line(finding)}"
        if len(findings) > shown:
            yield f"  ... and {len(findings) - shown:,} more (--json and --html list all of them)"
    yield ""
    for reason in examination.left_out:
        yield printable(f"not checked: {reason}")
    for advice in examination.advice:
        yield printable(advice)


def in_a_line(finding: Finding) -> str:
    """Return one finding as one line: location, recording, message and advice."""
    named = (
        f" {os.path.basename(without_neighbours(finding.audio))}"
        if finding.audio and finding.audio != finding.file
        else ""
    )
    return printable(f"{finding.place}{named}: {finding.message}; {finding.advice}")


def as_data(examination: Examination) -> dict[str, Any]:
    """Return an examination as plain data with stable keys."""
    counts = examination.counts
    return {
        "version": DATA_VERSION,
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
