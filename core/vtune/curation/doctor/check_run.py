"""Check the clips of a run before training, and log the worst findings of ``vtune doctor`` in a few lines."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256

from vtune.curation.doctor import CHECK_TITLES, Examination, Severity, as_data, examine
from vtune.curation.doctor.text_report import in_a_line
from vtune.dataset import Source, open_sources
from vtune.dataset.sources.fragments import recording_path
from vtune.engines import Engine
from vtune.recipe import Recipe
from vtune.runtime.distributed.rank_pool import ALONE, RankPool
from vtune.runtime.paths import RunFolder, write_json
from vtune.runtime.untrusted import read_json_object

logger = logging.getLogger(__name__)

MAX_EXAMINATION_BYTES = 256_000_000
"""Largest examination file that is read: that of a run with about 100,000 clips."""

MIN_PARALLEL_CLIPS = 300
"""Clips from which several processes are used: one process measures fewer before others have started."""

SHOWN_FINDINGS = 3
"""Findings that are logged; the file has all of them."""


def check_run(recipe: Recipe, engine: Engine, run: RunFolder, pool: RankPool = ALONE) -> None:
    """Examine every source, log a summary, and write all findings to a file. Unchanged clips are not examined again.

    No clip is left out because of a finding: clips that cannot be trained on get into the ledger anyway, and whether a
    clip sounds bad is for a person to decide.
    """
    sources = open_sources(recipe)
    rows = [_list_clips(source) for source in sources]
    shares = [recipe.held_out_share(index) for index in range(len(sources))]
    key = sha256(json.dumps([engine.name, shares, rows], default=str).encode()).hexdigest()[:16]
    if _key_of(run) == key:
        return
    examinations = [
        examine(
            source,
            engine=engine,
            options=recipe.engine_options,
            processes=1 if len(clips) < MIN_PARALLEL_CLIPS else None,
            validation=share,
            speakers=False,
            pool=pool,
        )
        for source, clips, share in zip(sources, rows, shares, strict=True)
    ]
    write_json(run.examination, {"key": key, "sources": [as_data(examination) for examination in examinations]})
    for line in _summary_lines(examinations, run):
        logger.info("%s", line)


def _list_clips(source: Source) -> list[tuple[str, str, int, int]]:
    """List the clips by values that moving the source does not change: relative names, sizes, modification times."""
    rows = [(row.audio, row.text) for row in source.rows()]
    common = os.path.commonprefix([audio for audio, _ in rows])  # noqa: RUF071 -- names need not be paths
    prefix_length = len(common.rpartition("/")[0])
    return [(audio[prefix_length:], text, *_size_and_time(audio)) for audio, text in rows]


def _size_and_time(audio: str) -> tuple[int, int]:
    try:
        status = os.stat(recording_path(audio))
    except (OSError, ValueError):
        return 0, 0
    return status.st_size, int(status.st_mtime)


def _key_of(run: RunFolder) -> str | None:
    try:
        return str(read_json_object(run.examination, MAX_EXAMINATION_BYTES)["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _summary_lines(examinations: Sequence[Examination], run: RunFolder) -> Iterator[str]:
    counts = sum((examination.counts for examination in examinations), Counter[Severity]())
    clips = sum(len(examination.clips) for examination in examinations)
    totals = ", ".join(
        f"{counts[severity]:,} {severity}{'' if counts[severity] == 1 else 's'}" for severity in Severity
    )
    yield f"{clips:,} clips checked: {totals}"
    findings = (finding for examination in examinations for finding in examination.findings)
    serious = [finding for finding in findings if finding.severity != Severity.NOTE]
    for finding in serious[:SHOWN_FINDINGS]:
        yield f"  {finding.severity} {CHECK_TITLES[finding.check]}: {in_a_line(finding)}"
    if len(serious) > SHOWN_FINDINGS:
        hidden = len(serious) - SHOWN_FINDINGS
        yield f"  ... and {hidden:,} more findings in {run.examination}; vtune doctor --html shows them on a page"
