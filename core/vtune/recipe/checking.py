"""A draft against the models: every problem at once, each with its place, what was found and what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from vtune.errors import RecipeError, nearest
from vtune.recipe.draft import Draft, KeyPath, dotted
from vtune.recipe.sections import LoraRecipe, Recipe
from vtune.types import EngineInfo, EngineOptions

M = TypeVar("M", bound=BaseModel)


def check_recipe(draft: Draft, engine: EngineInfo | str, extensions: Mapping[str, type[EngineOptions]]) -> Recipe:
    """Check a draft as a whole.

    :param engine: what the draft's engine says of itself, or the line that says why there is none.
    :param extensions: option models of the installed extensions by name.
    :raises RecipeError: one line for each problem, in the order of the file.
    """
    problems: list[tuple[KeyPath, str]] = []
    data = dict(draft.data)
    if isinstance(engine, EngineInfo):
        data["lora"] = _with_engine_defaults(data.get("lora"), engine)
    recipe = _validate(Recipe, data, (), draft, problems)
    options = None
    if isinstance(engine, EngineInfo):
        given = draft.data.get("engine_options")
        options = _validate(engine.options, {} if given is None else given, ("engine_options",), draft, problems)
    elif "engine" in draft.data and isinstance(draft.data["engine"], str):
        problems.append((("engine",), engine))
    tuned = _extension_options(draft, extensions, problems)
    if problems or recipe is None:
        order = {path: place for place, path in enumerate(draft.origins)}
        problems.sort(key=lambda problem: order.get(problem[0], len(order)))
        raise RecipeError([f"{draft.origin(path)}: {text}" for path, text in problems])
    checked = recipe.model_copy(update={"engine_options": options, "extensions": tuned})
    checked._folder = draft.folder
    return checked


def _with_engine_defaults(given: Any, info: EngineInfo) -> Any:
    if given is not None and not isinstance(given, dict):
        return given
    lora = info.lora
    defaults = {name: getattr(lora, name) for name in LoraRecipe.model_fields}
    return {
        **defaults,
        "targets": list(lora.targets),
        "modules_to_save": list(lora.modules_to_save),
        **(given or {}),
    }


def _extension_options(
    draft: Draft, extensions: Mapping[str, type[EngineOptions]], problems: list[tuple[KeyPath, str]]
) -> dict[str, EngineOptions]:
    given = draft.data.get("extensions")
    given = given if isinstance(given, dict) else {}
    for name in given:
        if name not in extensions:
            installed = ", ".join(extensions) or "none"
            text = f"no extension {name!r} is installed{nearest(name, extensions)} (installed: {installed})"
            problems.append((("extensions", name), text))
    tuned = {}
    for name, model in extensions.items():
        values = given.get(name)
        options = _validate(model, {} if values is None else values, ("extensions", name), draft, problems)
        if options is not None:
            tuned[name] = options
    return tuned


def _validate(model: type[M], data: Any, at: KeyPath, draft: Draft, problems: list[tuple[KeyPath, str]]) -> M | None:
    if not isinstance(data, dict):
        found = _shown(data)
        problems.append((at, f"section {dotted(at) or 'recipe'!r} holds keys and values, found {found}"))
        return None
    # A section whose keys are all commented out reads as null and means its defaults.
    filled = {key: value for key, value in data.items() if value is not None}
    try:
        return model.model_validate(filled)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            loc = tuple(part for part in detail["loc"])
            problems.append(((*at, *loc), _explain(model, at, loc, detail["type"], detail["msg"], detail["input"])))
        return None


def _explain(model: type[BaseModel], at: KeyPath, loc: KeyPath, kind: str, message: str, found: Any) -> str:
    key, path = str(loc[-1]) if loc else "", dotted((*at, *loc))
    section = dotted((*at, *loc[:-1]))
    if kind == "extra_forbidden":
        where = f" in section {section!r}" if section else ""
        owner = _model_at(model, loc[:-1])
        return f"unknown key {key[:60]!r}{where}{_suggest(key, owner, section)}"
    if kind == "missing":
        return f"{path!r} is missing"
    if kind == "string_pattern_mismatch":
        message = "use letters, digits, '-' and '_', starting with a letter or digit, 64 at most"
    return f"{path!r}: {message[:1].lower()}{message[1:]}, found {_shown(found)}"


def _suggest(key: str, owner: type[BaseModel] | None, section: str) -> str:
    """Suggest the nearest key of this section, else the section that has the key, else the nearest anywhere."""
    own = list(owner.model_fields) if owner else []
    close = nearest(key, own)
    if close:
        return close
    elsewhere = {name: place for place, name in _catalogue(Recipe, "") if place != section}
    if key in elsewhere:
        return f"; it belongs in {_place(elsewhere[key])}"
    guess = nearest(key, elsewhere)
    if guess:
        name = guess.rsplit("'", 2)[1]
        return f"{guess.removesuffix('?')} in {_place(elsewhere[name])}?"
    return f" (known: {', '.join(own)})" if own else ""


def _place(section: str) -> str:
    return f"section {section!r}" if section else "the top of the recipe"


def _catalogue(model: type[BaseModel], section: str) -> Iterator[tuple[str, str]]:
    for name, field in model.model_fields.items():
        yield section, name
        inner = _model_in(field.annotation)
        if inner is not None:
            yield from _catalogue(inner, f"{section}.{name}".strip("."))


def _model_at(model: type[BaseModel], loc: KeyPath) -> type[BaseModel] | None:
    current: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, int):
            continue
        field = current.model_fields.get(part) if current else None
        current = _model_in(field.annotation) if field else None
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for arg in get_args(annotation) if (m := _model_in(arg)) is not None), None)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
