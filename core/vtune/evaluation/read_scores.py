"""Reading ``scores.json`` back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from vtune.contract.metrics import MetricSpec
from vtune.errors import VoiceError, first_problem, reason, shown
from vtune.evaluation.scores import SCORES_VERSION, Score, Scores
from vtune.runtime.untrusted import FileRefused, read_json_object, why

MAX_SCORES_BYTES = 32_000_000


def read_scores(path: Path) -> Scores:
    """Read ``scores.json``; a voice that was never scored has none, and gives empty scores.

    :raises VoiceError: the file is damaged, or was written by another version of vtune.
    """
    try:
        kept = read_json_object(path, MAX_SCORES_BYTES)
        version = kept.pop("version")
        if version != SCORES_VERSION:
            raise VoiceError(
                f"{path} was written by another version of vtune: its format is {shown(version)}, this vtune reads "
                f"{SCORES_VERSION}; make the voice again"
            )
        identical = tuple((first, second) for first, second in kept.pop("identical"))
        fields = {**kept, "scores": [_score(score) for score in kept["scores"]], "identical": identical}
        # Checked, because the card computes with these values: a dataclass accepts a value of any type.
        return TypeAdapter(Scores).validate_python(fields, extra="forbid")
    except FileNotFoundError:
        return Scores()
    except (OSError, FileRefused) as error:
        raise VoiceError(f"{path} is damaged: {why(error)}; make the voice again") from error
    except ValidationError as error:
        raise VoiceError(f"{path} is damaged: {first_problem(error)}; make the voice again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoiceError(f"{path} is damaged: {reason(error)}; make the voice again") from error


def _score(kept: dict[str, Any]) -> Score:
    intervals = {name: (float(low), float(high)) for name, (low, high) in kept["intervals"].items()}
    return Score(**{**kept, "spec": _spec(kept["spec"]), "intervals": intervals})


def _spec(kept: dict[str, Any]) -> MetricSpec:
    return MetricSpec(**{**kept, "scale": kept["scale"] and tuple(kept["scale"])})
