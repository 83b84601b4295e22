"""List what a voice can be made with: engine and base, licence, size, and whether this machine can train it.

``python -m vtune.studio.choices`` prints a line of JSON for each choice as soon as it is known.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from vtune.engines import Engine, available_engines, engine_recipes, load_engine, load_foreign_recipe
from vtune.errors import TrainingError, VtuneError, reason
from vtune.recipe import Recipe, builtin_recipes

SMALL_NETWORK = 50_000_000
"""Parameters up to which a training on a processor takes minutes, or an hour."""

_NO_CHOICES = frozenset({"quickstart", "nano"})
"""Recipes that bring recordings of their own; nano's network knows no other words than theirs."""


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """One way to make a voice.

    :param template: name of the recipe; empty for an engine that brings none.
    :param parameters: of the network; None if the engine does not say it, or its base cannot be looked at.
    :param fits: whether this machine can train it; None if that is not known.
    :param because: why it does not fit, or why that is not known.
    """

    template: str
    engine: str
    title: str
    base: str
    licence: str
    licence_id: str
    parameters: int | None
    fits: bool | None
    because: str


def engine_choices() -> Iterator[EngineChoice]:
    """Yield every choice; what is not known of one is said in its place. Each may take seconds."""
    names = {name: path for name, path in builtin_recipes().items() if name not in _NO_CHOICES}
    names |= {name: path for name, (path, _) in engine_recipes().items() if name not in names}
    with_recipe = set()
    for name in names:
        choice = _of_recipe(name)
        with_recipe.add(choice.engine)
        yield choice
    for name in available_engines():
        if name not in with_recipe:
            yield _of_engine(name)


def _of_recipe(name: str) -> EngineChoice:
    title = builtin_recipes().get(name)
    first = "" if title is None else title.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()
    try:
        recipe = load_foreign_recipe(name)
        return _described(name, first or name, recipe)
    except VtuneError as error:
        return EngineChoice(name, "", first or name, "", "", "", None, None, str(error))


def _of_engine(name: str) -> EngineChoice:
    try:
        engine = load_engine(name)
        data = {"voice": "voice", "engine": name, "data": [{"source": "."}]}
        return _described(
            "",
            f"{name}, with its own defaults",
            Recipe.model_validate({**data, "engine_options": engine.info.options()}),
        )
    except (VtuneError, ValueError) as error:
        return EngineChoice("", name, name, "", "", "", None, None, reason(error))


def _described(template: str, title: str, recipe: Recipe) -> EngineChoice:
    engine = load_engine(recipe.engine)
    info, base = engine.info, str(getattr(recipe.engine_options, "base_model", "") or "")
    parameters, fits, because = _fit(engine, recipe)
    licence = info.licence or "The engine does not state a licence."
    return EngineChoice(template, recipe.engine, title, base, licence, info.licence_id, parameters, fits, because)


def _fit(engine: Engine, recipe: Recipe) -> tuple[int | None, bool | None, str]:
    """Return the number of parameters, whether a run fits into memory, and why not."""
    from vtune.runtime.device import pick_device
    from vtune.training.memory_estimate import footprint_of, require

    try:
        device = pick_device(recipe.train.device)
        footprint = footprint_of(engine, recipe, device)
    except VtuneError as error:
        if os.environ.get("HF_HUB_OFFLINE") and "cannot be downloaded" in str(error):
            return None, None, "its base is not on this machine, and the Hub does not answer"
        return None, None, str(error)
    except (OSError, ValueError) as error:
        return None, None, reason(error)
    if footprint is None:
        return None, None, "the engine gives no estimate"
    try:
        require(footprint, recipe, device)
    except TrainingError as error:
        return footprint.parameters, False, str(error)
    if device.type != "cpu":
        return footprint.parameters, True, "it is trained on the GPU"
    speed = "slow for so large" if footprint.parameters > SMALL_NETWORK else "fast enough for so small"
    return footprint.parameters, True, f"it is trained on the processor, which is {speed} a network"


def main() -> None:
    """Print every choice."""
    for choice in engine_choices():
        print(json.dumps(asdict(choice)), flush=True)


if __name__ == "__main__":
    main()
