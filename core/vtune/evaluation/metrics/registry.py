"""Which judges there are: vtune's own and those of extensions."""

from __future__ import annotations

from collections.abc import Iterable

from vtune.contract.metrics import MetricMaker
from vtune.engines import Engine
from vtune.errors import RecipeError, listed, nearest
from vtune.evaluation.metrics.delivery import Delivery
from vtune.evaluation.metrics.naturalness import Cleanliness, Naturalness
from vtune.evaluation.metrics.pitch import Pitch
from vtune.evaluation.metrics.speaker_similarity import Likeness
from vtune.evaluation.metrics.speed import Speed
from vtune.evaluation.metrics.words import Words
from vtune.recipe import Recipe

OWN: dict[str, MetricMaker] = {
    "text": Words,
    "voice": Likeness,
    "delivery": Delivery,
    "pitch": Pitch,
    "naturalness": Naturalness,
    "cleanliness": Cleanliness,
    "speed": Speed,
}
"""Judges by the name of their group, in the order of the table."""


def judges(engine: Engine, recipe: Recipe, groups: Iterable[str] | None = None) -> dict[str, MetricMaker]:
    """Return the makers of the judges asked for; of all where nobody asks. An extension's replace ours of its name.

    :raises RecipeError: there is no such group.
    """
    known = {**OWN, **engine.judges(recipe)}
    if groups is None:
        return known
    wanted = list(groups)
    for name in wanted:
        if name not in known:
            hint = nearest(name, known) or f" (known: {listed(known, name)})"
            raise RecipeError([f"evaluate.judges: there is no {name!r}{hint}"])
    return {name: known[name] for name in known if name in wanted}
