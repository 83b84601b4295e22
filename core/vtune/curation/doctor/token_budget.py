"""How many tokens a clip becomes for an engine, and how many the engine takes: known without loading a weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vtune.curation.doctor.checks import found
from vtune.curation.doctor.findings import Finding, Measure, Severity
from vtune.dataset import Row
from vtune.engines import Engine
from vtune.errors import VtuneError, first_problem
from vtune.types import EngineOptions


@dataclass(frozen=True, slots=True)
class Budget:
    """What one clip may cost.

    :param seconds: the longest clip that fits; None where the engine does not say.
    """

    engine: str
    tokens_per_second: float
    tokens_per_clip: float
    seconds: float | None

    def tokens(self, seconds: float) -> float:
        """Estimate the tokens of a clip."""
        return seconds * self.tokens_per_second + self.tokens_per_clip


def options_of(engine: Engine, given: Mapping[str, Any]) -> EngineOptions:
    """Check an engine's options. :raises VtuneError: one is not known or not possible."""
    try:
        return engine.info.options.model_validate(dict(given))
    except ValidationError as error:
        raise VtuneError(f"engine {engine.name!r}: {first_problem(error)}") from error


def budget_of(engine: Engine, options: EngineOptions) -> tuple[Budget | None, str | None]:
    """Ask an engine for its budget; return it, or why there is none to check against."""
    try:
        footprint = engine.footprint(options, engine.info.lora, 2)
    except VtuneError as error:
        return None, f"budget: {error}"
    if footprint is None:
        return None, f"budget: engine {engine.name!r} does not say how many tokens a second of sound becomes"
    longest = footprint.longest_seconds
    budget = Budget(engine.name, footprint.tokens_per_second, footprint.tokens_per_clip, longest)
    unsaid = f"budget: engine {engine.name!r} does not say how long a clip may be; a run lists what it refuses"
    return budget, unsaid if longest is None else None


def too_long(row: Row, seconds: float, budget: Budget) -> Iterator[Finding]:
    """Yield a finding for a clip that does not fit."""
    if budget.seconds is None or seconds <= budget.seconds:
        return
    tokens = budget.tokens(seconds)
    yield found(
        "budget", Severity.ERROR, row,
        f"{seconds:.1f} s are about {tokens:,.0f} tokens for {budget.engine}, which takes "
        f"{budget.tokens(budget.seconds):,.0f} ({budget.seconds:.1f} s)",
        "cut it (vtune prepare), or raise the engine's limit if it has one",
        Measure(round(tokens), "tokens"),
    )  # fmt: skip
