"""Estimate the tokens of a clip, and compare them with the engine's limit, without loading any weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vtune.curation.doctor.check_titles import make_finding
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row
from vtune.engines import Engine
from vtune.errors import VtuneError, first_problem
from vtune.types import EngineOptions


@dataclass(frozen=True, slots=True)
class ClipBudget:
    """The tokens that one clip may need.

    :param engine: name of the engine.
    :param seconds: longest clip that the engine accepts; None if the engine does not state it.
    """

    engine: str
    tokens_per_second: float
    tokens_per_clip: float
    seconds: float | None

    def tokens(self, seconds: float) -> float:
        """Return the estimated number of tokens of a clip."""
        return seconds * self.tokens_per_second + self.tokens_per_clip


def check_options(engine: Engine, values: Mapping[str, Any]) -> EngineOptions:
    """Return the checked options of an engine.

    :raises VtuneError: an option is unknown, or has an invalid value.
    """
    try:
        return engine.info.options.model_validate(dict(values))
    except ValidationError as error:
        raise VtuneError(f"engine {engine.name!r}: {first_problem(error)}") from error


def budget_of(engine: Engine, options: EngineOptions) -> tuple[ClipBudget | None, str | None]:
    """Return the budget of an engine (or None), and a note if clips cannot be checked against it (or None)."""
    try:
        footprint = engine.footprint(options, engine.info.lora, 2)
    except VtuneError as error:
        return None, f"budget: {error}"
    if footprint is None:
        return None, f"budget: engine {engine.name!r} does not state how many tokens a second of sound needs"
    longest = footprint.longest_seconds
    budget = ClipBudget(engine.name, footprint.tokens_per_second, footprint.tokens_per_clip, longest)
    note = f"budget: engine {engine.name!r} does not state how long a clip may be; a run lists the clips it refuses"
    return budget, note if longest is None else None


def budget_findings(row: Row, seconds: float, budget: ClipBudget) -> Iterator[Finding]:
    """Yield a finding if a clip is too long for the engine."""
    if budget.seconds is None or seconds <= budget.seconds:
        return
    tokens = budget.tokens(seconds)
    yield make_finding(
        "budget", Severity.ERROR, row,
        f"the clip needs about {tokens:,.0f} tokens ({seconds:.1f} s); {budget.engine} accepts "
        f"{budget.tokens(budget.seconds):,.0f} tokens ({budget.seconds:.1f} s)",
        "cut the clip (vtune prepare), or raise the engine's limit if it has an option for it",
        Measure(round(tokens), "tokens"),
    )  # fmt: skip
