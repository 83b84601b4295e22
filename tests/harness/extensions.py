"""Extensions that a test installs for the processes that it starts."""

from __future__ import annotations

from pathlib import Path

JUDGES = """
import numpy as np
import vtune
from vtune.evaluation import Figure, Judgement, Ratio

class Judge:
    def __init__(self, material, recipe):
        pass

class Words(Judge):
    figures = (Figure("words", "wrong words", "low"),)
    def judge(self, takes):
        return Judgement({"words": [Ratio(abs(np.sin(len(take.waveform))) / 2) for take in takes]})

class Likeness(Judge):
    figures = (Figure("likeness", "likeness", "high"),)
    def judge(self, takes):
        return Judgement({"likeness": [Ratio(float(np.abs(take.waveform).mean())) for take in takes]})

@vtune.hookimpl
def judges():
    return {"text": Words, "voice": Likeness}
"""
"""Judges that need no network: words by the sound's length, likeness by its level; so checkpoints are chosen by ear."""


def extension(folder: Path, name: str, source: str) -> str:
    """Install an extension beside the others; returns what goes onto the path."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vtune.plugins]\n{name} = {name}_extension\n")
    (folder / f"{name}_extension.py").write_text(source)
    return str(folder)
