"""Check a draft against the models: all problems at once, each with file, line, expected value and value found."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vtune.errors import RecipeError, choices, shown
from vtune.recipe.data_sections import OWN_RECOGNISERS
from vtune.recipe.draft import Draft, KeyPath, dotted
from vtune.recipe.explain import as_written, explain
from vtune.recipe.lora_arguments import refusal
from vtune.recipe.model import LoraRecipe, Recipe
from vtune.recipe.parse import MAX_PROBLEMS
from vtune.recipe.suggest import Catalogue
from vtune.types import EngineInfo, EngineOptions

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ExtensionKeys:
    """What the installed extensions add to recipes.

    :param options: the model of each section under ``extensions``, by name.
    :param opt_in: names of the sections without which an extension takes no part.
    :param recognisers: further values of ``transcribe.backend``.
    :param blocked: names of extensions that the environment leaves out; their sections are not read.
    """

    options: Mapping[str, type[EngineOptions]] = field(default_factory=dict)
    opt_in: Collection[str] = ()
    recognisers: Collection[str] = ()
    blocked: Collection[str] = ()


def check_recipe(draft: Draft, engine: EngineInfo | str, extensions: ExtensionKeys | None) -> Recipe:
    """Check a draft as a whole.

    :param engine: the `EngineInfo` of the draft's engine, or the error line that says why there is none.
    :param extensions: None where an extension is broken, so that what they add is not known.
    :raises RecipeError: one line for each problem, in the order of the file.
    """
    models: dict[KeyPath, type[BaseModel]] = {(): Recipe}
    if isinstance(engine, EngineInfo):
        models[("engine_options",)] = engine.options
    if extensions is not None:
        models.update({("extensions", name): model for name, model in extensions.options.items()})
    check = _Check(draft, Catalogue(models))
    data = dict(draft.data)
    if isinstance(engine, EngineInfo):
        lora = data.get("lora")
        if lora is None or isinstance(lora, dict):
            data["lora"] = {**lora_defaults(engine), **(lora or {})}
    # A section whose keys are all commented out reads as null and means its defaults.
    recipe = check.model(Recipe, {key: value for key, value in data.items() if value is not None}, ())
    options = None
    if isinstance(engine, EngineInfo):
        recipe = recipe and check.capabilities(recipe, engine)
        options = check.model(engine.options, draft.data.get("engine_options"), ("engine_options",))
    elif not any(path == ("engine",) for path, _ in check.problems):
        check.problems.append((("engine",), engine))
    options_by_extension = {}
    if extensions is not None:
        given = draft.data.get("extensions")
        options_by_extension = check.extensions(given if isinstance(given, dict) else {}, extensions)
        if recipe is not None:
            check.recogniser(recipe.transcribe.backend, extensions.recognisers)
    if check.problems or recipe is None:
        raise RecipeError(check.lines())
    checked = recipe.model_copy(update={"engine_options": options, "extensions": options_by_extension})
    checked._folder = draft.folder
    return checked


def lora_defaults(info: EngineInfo) -> dict[str, Any]:
    """Return an engine's own defaults for each key of ``lora:``, as a recipe would write them."""
    values = {name: getattr(info.lora, name) for name in LoraRecipe.model_fields}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


class _Check:
    def __init__(self, draft: Draft, catalogue: Catalogue) -> None:
        self.problems: list[tuple[KeyPath, str]] = []
        self._draft = draft
        self._catalogue = catalogue

    def model(self, model: type[M], data: Any, at: KeyPath) -> M | None:
        """Validate the section at path ``at`` against its model; None if the section has problems."""
        data = {} if data is None else data
        if not isinstance(data, dict):
            self.problems.append((at, f"{dotted(at)!r} must be a section (keys with values), found {as_written(data)}"))
            return None
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for detail in error.errors(include_url=False)[:MAX_PROBLEMS]:
                path = (*at, *detail["loc"])
                self.problems.append((path, self._explain(path, detail)))
            return None

    def extensions(self, given: Mapping[str, Any], keys: ExtensionKeys) -> dict[str, EngineOptions]:
        """Validate the section of each extension; a section that the recipe leaves out has its defaults.

        An opt-in extension without a section is left out.
        """
        models = keys.options
        for name in [name for name in given if name not in models][:MAX_PROBLEMS]:
            if name in keys.blocked:
                where, text = self._draft.origin(("extensions", name)), "is not read: this extension is blocked"
                logger.warning("%s: the section 'extensions.%s' %s", where, name, text)
                continue
            text = f"no extension {shown(name)} is installed{choices(name, models, 'installed')}"
            self.problems.append((("extensions", name), text))
        active = {name: model for name, model in models.items() if name in given or name not in keys.opt_in}
        checked = {name: self.model(model, given.get(name), ("extensions", name)) for name, model in active.items()}
        return {name: options for name, options in checked.items() if options is not None}

    def capabilities(self, recipe: Recipe, engine: EngineInfo) -> Recipe:
        """Note what the recipe wants and the engine cannot; return the recipe without what it wants by default only."""
        if recipe.train.method == "full" and "full" not in engine.supports:
            text = f"engine {recipe.engine!r} does not support full: it cannot train all weights; use method lora"
            self.problems.append((("train", "method"), text))
        if "text" in engine.supports:
            return recipe
        spoken = {"sentences": [], "clips": 0, "checkpoint_sentences": 0, "train_sentences": 0}
        for key in spoken.keys() & recipe.evaluate.model_fields_set:
            if getattr(recipe.evaluate, key):
                text = f"engine {recipe.engine!r} does not support text: it cannot speak sentences; set {spoken[key]!r}"
                self.problems.append((("evaluate", key), text))
        return recipe.model_copy(update={"evaluate": recipe.evaluate.model_copy(update=spoken)})

    def recogniser(self, name: str, added: Collection[str]) -> None:
        """Check the name of a recogniser."""
        names = [*OWN_RECOGNISERS, *added]
        if name not in names:
            text = f"there is no recogniser {shown(name)}{choices(name, names, 'recognisers')}"
            self.problems.append((("transcribe", "backend"), text))

    def lines(self) -> list[str]:
        """Return one line for each problem, with file and line, in the order of the file."""
        order = {path: index for index, path in enumerate(self._draft.origins)}
        self.problems.sort(key=lambda problem: order.get(self._draft.written(problem[0]), len(order)))
        return [f"{self._draft.origin(path)}: {' '.join(text.split())}" for path, text in self.problems]

    def _explain(self, path: KeyPath, error: Mapping[str, Any]) -> str:
        if error["type"] == "extra_forbidden":
            key, section = str(path[-1]), dotted(path[:-1])
            if path[:-1] == ("lora", "arguments") and (why := refusal(key)):
                return f"{dotted(path)!r} cannot be set here: {why}"
            where = f" in section {section!r}" if section else ""
            return f"unknown key {shown(key)}{where}{self._catalogue.suggest(key, path[:-1])}"
        if error["type"] == "missing":
            return f"{dotted(path)!r} is missing"
        if error["type"] == "string_pattern_mismatch" and path[-1] == "voice":
            rule = "must have 1 to 64 letters, digits, '-' and '_', and start with a letter or a digit"
            return f"{dotted(path)!r} {rule}, found {as_written(error['input'])}"
        return f"{dotted(path)!r}{explain(error)}"
