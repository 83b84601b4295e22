"""Read what a run has done from its folder: curves, checkpoints, what they spoke. Whoever runs it does not matter."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vtune.errors import VtuneError
from vtune.evaluation import VOICE, read_scores
from vtune.runtime.paths import RunFolder, VoiceFolder
from vtune.voice_format.record import read_record

MAX_POINTS = 500
"""Points of one curve; of a longer one, every second, third, ... is sent."""

_QUIET_CURVES = frozenset(
    {
        "step", "epoch", "learning_rate", "grad_norm", "clips_per_second", "tokens_per_second",
        "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
    }
)  # fmt: skip
"""Of a run, what says nothing about the voice."""
_STEP_FOLDER = re.compile(r"step-(\d{6,})")


def run_data(run: RunFolder) -> dict[str, Any]:
    """Return the newest training of a run: curves by metric, and for each checkpoint the sentences that it spoke."""
    training = _newest(run.logs)
    if training is None:
        return {"training": None, "curves": {}, "heard": [], "changed": None}
    metrics = training / "metrics.jsonl"
    return {
        "training": training.name,
        "curves": _curves(metrics),
        "heard": list(_heard(training / "heard")),
        "changed": metrics.stat().st_mtime if metrics.is_file() else None,
    }


def voice_data(folder: VoiceFolder) -> dict[str, Any] | None:
    """Return what a finished voice is: whose, its scores, its samples; None if there is none."""
    if not folder.record.is_file():
        return None
    try:
        record, scores = read_record(folder), read_scores(folder.scores)
    except VtuneError as error:
        return {"problem": str(error)}
    headline = [score for score in scores.scores if score.spec.headline]
    columns = scores.columns
    return {
        "problem": None,
        "consent": record.consent,
        "licence": record.licence,
        "created": record.created,
        "columns": columns,
        "scores": [[score.spec.title, *map(score.shown, columns)] for score in headline if VOICE in score.means],
        "skipped": dict(scores.skipped),
        "samples": sorted(path.name for path in folder.samples.glob("*.wav")),
        "page": folder.page.is_file(),
    }


def findings_data(path: Path) -> dict[str, Any] | None:
    """Return what ``vtune doctor`` found: minutes, speakers, and each kind of finding with its number."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    speakers: dict[str, float] = {}
    for clip in report["clips"]:
        speakers[clip["speaker"]] = speakers.get(clip["speaker"], 0) + clip["seconds"]
    kinds: dict[tuple[str, str], list[str]] = {}
    for finding in report["findings"]:
        where = Path(finding["audio"] or finding["file"] or "").name
        kinds.setdefault((finding["severity"], finding["check"]), []).append(
            f"{where}: {finding['message']}" if where else finding["message"]
        )
    return {
        **{
            key: report[key]
            for key in ("source", "rows", "seconds", "usable_rows", "usable_seconds", "left_out", "advice")
        },
        "speakers": dict(sorted(speakers.items(), key=lambda item: -item[1])[:20]),
        "kinds": [
            {"severity": severity, "check": check, "count": len(lines), "lines": lines[:3]}
            for (severity, check), lines in kinds.items()
        ],
    }


def _newest(logs: Path) -> Path | None:
    try:
        trainings = [path for path in logs.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return None
    return max(trainings, key=lambda path: path.stat().st_mtime, default=None)


def _curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in _entries(path):
        for name, value in entry.items():
            if name not in _QUIET_CURVES and isinstance(value, int | float) and math.isfinite(value):
                curves.setdefault(name, []).append((int(entry["step"]), float(value)))
    return {name: points[:: math.ceil(len(points) / MAX_POINTS)] for name, points in curves.items()}


def _entries(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the last line is being written
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            yield entry


def _heard(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        steps = sorted(path for path in folder.iterdir() if _STEP_FOLDER.fullmatch(path.name))
    except OSError:
        return
    for path in steps:
        yield {
            "step": int(path.name.removeprefix("step-")),
            "folder": path.name,
            "files": sorted(p.name for p in path.glob("*.wav")),
        }
