"""The clips of a run looked over before anything is trained on them: what ``vtune doctor`` finds, in a few lines."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from vtune.curation.doctor import CHECKS, Examination, Severity, as_data, examine
from vtune.curation.doctor.report import in_a_line
from vtune.dataset import Source, open_sources
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.paths import RunFolder, write_json
from vtune.runtime.untrusted import read_json_object

logger = logging.getLogger(__name__)

MAX_EXAMINATION_BYTES = 256_000_000
"""Of a run of some 100,000 clips."""

FEW = 300
"""Clips that one process measures before others would have started."""

SHOWN = 3
"""Findings that are told; the file has all."""


def inspect(recipe: Recipe, engine: Engine, run: RunFolder) -> None:
    """Examine every source, say what is wrong, and write it down; the same clips are not examined again.

    Nothing is left out for what is found here: what cannot be trained on goes into the ledger by itself, and what
    sounds bad is for a person to judge.
    """
    sources = open_sources(recipe)
    rows = [_listed(source) for source in sources]
    key = sha256(json.dumps([engine.name, recipe.train.validation, rows], default=str).encode()).hexdigest()[:16]
    if _key_of(run) == key:
        return
    found = [
        examine(
            source,
            engine=engine,
            options=recipe.engine_options,
            processes=1 if len(listed) < FEW else None,
            validation=recipe.train.validation,
            speakers=False,
        )
        for source, listed in zip(sources, rows, strict=True)
    ]
    write_json(run.examination, {"key": key, "sources": [as_data(one) for one in found]})
    for line in _told(found, run):
        logger.info("%s", line)


def _listed(source: Source) -> list[tuple[str, str, int, int]]:
    """List the clips by what survives moving the source: names below its folder, sizes, seconds of the last change."""
    rows = [(row.audio, row.text) for row in source.rows()]
    common = os.path.commonprefix([audio for audio, _ in rows])  # noqa: RUF071 -- names need not be paths
    above = len(common.rpartition("/")[0])
    return [(audio[above:], text, *_stamp(audio)) for audio, text in rows]


def _stamp(audio: str) -> tuple[int, int]:
    try:
        status = os.stat(audio)
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, int(status.st_mtime)


def _key_of(run: RunFolder) -> str | None:
    try:
        return str(read_json_object(run.examination, MAX_EXAMINATION_BYTES)["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _told(found: Sequence[Examination], run: RunFolder) -> Iterator[str]:
    counts = sum((one.counts for one in found), Counter[Severity]())
    clips = sum(len(one.clips) for one in found)
    said = ", ".join(f"{counts[severity]:,} {severity}{'' if counts[severity] == 1 else 's'}" for severity in Severity)
    yield f"checked: {clips:,} clips: {said}"
    serious = [finding for one in found for finding in one.findings if finding.severity != Severity.NOTE]
    for finding in serious[:SHOWN]:
        yield f"  {finding.severity} {CHECKS[finding.check]}: {in_a_line(finding)}"
    if len(serious) > SHOWN:
        yield f"  ... and {len(serious) - SHOWN:,} more in {run.examination}; vtune doctor shows them on a page"
