"""Extensions that a test installs for the processes that it starts."""

from __future__ import annotations

from pathlib import Path

METRICS = """
import numpy as np
import vtune
from vtune.evaluation import MetricResult, MetricSpec, Ratio

class Length:
    specs = (MetricSpec("wer", "wrong words", "low", "%"),)

    def __init__(self, test_set, recipe):
        pass

    def measure(self, utterances):
        return MetricResult({"wer": [Ratio(abs(np.sin(len(utterance.waveform))) / 2) for utterance in utterances]})

class Level:
    specs = (
        MetricSpec("speaker_similarity", "similarity", "high", scale=(0.0, 1.0)),
        MetricSpec("loudness", "mean level", "high"),
    )

    def __init__(self, test_set, recipe):
        pass

    def measure(self, utterances):
        levels = [Ratio(float(np.abs(utterance.waveform).mean())) for utterance in utterances]
        return MetricResult({"speaker_similarity": levels, "loudness": levels})

@vtune.hookimpl
def metrics():
    return {"intelligibility": Length, "speaker": Level}
"""
"""Metrics that need no network, so that checkpoints are chosen by them: ``wer`` by the number of samples,
``speaker_similarity`` by the level, and one that vtune does not have, ``loudness``."""


def extension(folder: Path, name: str, source: str) -> str:
    """Install an extension beside the others; return the folder that must be on Python's path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vtune.plugins]\n{name} = {name}_extension\n")
    (folder / f"{name}_extension.py").write_text(source)
    return str(folder)
