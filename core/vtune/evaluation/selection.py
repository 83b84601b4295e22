"""One number for a voice, to choose checkpoints and settings by."""

from __future__ import annotations

from vtune.evaluation.scores import Scores

RULE = "the share of words that are right, times the likeness to the recordings"


def quality(scores: Scores, system: str) -> float | None:
    """Return ``(1 - wrong words) x likeness``, in [0, 1]: neither the right words of a stranger nor the right voice
    mumbling is a good voice. Wrong words count as 1 at most. What was not measured is left out; None without both.
    """
    wrong, likeness = scores.mean("words", system), scores.mean("likeness", system)
    if wrong is None and likeness is None:
        return None
    right = 1.0 if wrong is None else max(0.0, 1.0 - wrong)
    return right * (1.0 if likeness is None else max(0.0, likeness))
