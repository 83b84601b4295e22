"""Scores back from their file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vtune.errors import VoiceError, reason
from vtune.evaluate.judges import Figure
from vtune.evaluate.scores import VERSION, Score, Scores


def read_scores(path: Path) -> Scores:
    """Read ``scores.json``; a voice that was never scored has none, and gives empty scores.

    :raises VoiceError: it is damaged, or was written by another version of vtune.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.pop("version") != VERSION:
            raise VoiceError(f"{path} was written by another version of vtune; make the voice again")
        identical = tuple((one, other) for one, other in kept.pop("identical"))
        return Scores(**{**kept, "scores": [_score(one) for one in kept["scores"]]}, identical=identical)
    except FileNotFoundError:
        return Scores()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VoiceError(f"{path} is damaged: {reason(error)}; make the voice again") from error


def _score(kept: dict[str, Any]) -> Score:
    intervals = {name: (float(low), float(high)) for name, (low, high) in kept["intervals"].items()}
    return Score(**{**kept, "figure": Figure(**kept["figure"]), "intervals": intervals})
