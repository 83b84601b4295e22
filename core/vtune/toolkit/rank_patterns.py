"""``rank_pattern`` and ``alpha_pattern``: which rank and alpha each adapted module has, by PEFT's own rule."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vtune.errors import TrainingError, nearest, shown
from vtune.toolkit.target_patterns import match_patterns
from vtune.types import LoraSettings

PATTERN_ARGUMENTS = ("rank_pattern", "alpha_pattern")

_PEFT_FORM = r"(.*\.)?(%s)$"
"""What PEFT makes of a key, see ``peft.utils.other.get_pattern_key``: it may match the end of a module's name."""


@dataclass(frozen=True, slots=True)
class ModuleScale:
    """Rank and alpha of one adapted module; its update ``B A`` is multiplied by ``scaling``."""

    rank: int
    alpha: float
    rslora: bool

    @property
    def scaling(self) -> float:
        """What PEFT multiplies ``B A`` by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


def module_scales(lora: LoraSettings, modules: Sequence[str]) -> dict[str, ModuleScale]:
    """Return rank and alpha of each adapted module.

    ``rank_pattern: {"h.0.mlp": 2}`` with rank 8 gives ``h.0.mlp`` the rank 2 and every other module the rank 8.

    :param modules: names in the network, as PEFT's file has them behind ``base_model.model.``.
    :raises TrainingError: a pattern is no regular expression, matches no module, or two patterns that match one module
        say different things; one line.
    """
    ranks, alphas = (_values(lora.arguments.get(argument) or {}, modules, argument) for argument in PATTERN_ARGUMENTS)
    return {
        module: ModuleScale(int(ranks.get(module, lora.rank)), alphas.get(module, lora.alpha), lora.rslora)
        for module in modules
    }


def largest_rank(lora: LoraSettings) -> int:
    """Return the largest rank that any module of an adapter may have."""
    ranks: list[int] = [lora.rank, *lora.arguments.get("rank_pattern", {}).values()]
    return max(ranks)


def _values(patterns: Mapping[str, float], modules: Sequence[str], argument: str) -> dict[str, float]:
    matches = _match(patterns, modules, f"lora.arguments.{argument}")
    values: dict[str, tuple[float, str]] = {}
    for pattern, value in patterns.items():
        if not matches[pattern]:
            ends = {module.rpartition(".")[2] for module in modules}
            raise TrainingError(
                f"lora.arguments.{argument}: {shown(pattern)} matches no adapted module{nearest(pattern, ends)}"
            )
        for module in matches[pattern]:
            other, first = values.setdefault(module, (value, pattern))
            if other != value:
                # PEFT takes the first that matches, and sorts them when it writes them.
                raise TrainingError(
                    f"lora.arguments.{argument}: {shown(first)} and {shown(pattern)} both match {shown(module)}, with "
                    f"{other:g} and {value:g}; write patterns that do not overlap"
                )
    return {module: value for module, (value, _) in values.items()}


def _match(patterns: Iterable[str], modules: Sequence[str], key: str) -> dict[str, list[str]]:
    """Return the modules that each pattern matches; what is no plain name is matched in a process of its own."""
    plain = [pattern for pattern in patterns if re.fullmatch(r"[A-Za-z0-9_.]+", pattern)]
    matches = {pattern: [module for module in modules if re.match(_PEFT_FORM % pattern, module)] for pattern in plain}
    others = [pattern for pattern in patterns if pattern not in matches]
    return {**matches, **match_patterns(others, modules, key, _PEFT_FORM)}
