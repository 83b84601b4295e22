"""A JSON schema of the whole recipe, engines' and extensions' options included, for editors that complete YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic.errors import PydanticInvalidForJsonSchema

from vtune.recipe.model import Recipe
from vtune.recipe.parse import plain_value
from vtune.recipe.portable import portable_recipe
from vtune.types import EngineInfo, EngineOptions


def recipe_schema(engines: Mapping[str, EngineInfo], extensions: Mapping[str, type[EngineOptions]]) -> dict[str, Any]:
    """Return a draft 2020-12 schema: ``engine`` picks what ``engine_options`` may hold."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "vtune recipe"
    properties = schema["properties"]
    properties["extends"] = {"type": "string", "description": "a recipe file that this one is laid over"}
    properties["engine"]["anyOf"] = [{"enum": sorted(engines)}, {"pattern": r"\.py$"}]
    properties["extensions"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _or_null(_inlined(model)) for name, model in sorted(extensions.items())},
    }
    for name in properties.keys() - schema["required"]:
        properties[name] = _or_null(properties[name])
    schema["allOf"] = [
        {
            "if": {"properties": {"engine": {"const": name}}, "required": ["engine"]},
            "then": {"properties": {"engine_options": _or_null(_inlined(info.options))}},
        }
        for name, info in sorted(engines.items())
    ]
    # What a recipe extends may hold what it lacks itself, so nothing is required of the file alone.
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    return schema


def as_yaml(recipe: Recipe) -> str:
    """Write a resolved recipe out, every default included; it can be run again from here, wherever it is kept."""
    text = yaml.dump(portable_recipe(recipe).settings(), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return str(text)


class _Dumper(yaml.SafeDumper):
    """Quotes every text that recipes would read as something else, ``1e-5`` and the like."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
        plain = kind is yaml.ScalarNode and implicit[0]
        return "no text" if plain and tag.endswith(":str") and not isinstance(plain_value(value), str) else tag

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value as often as it stands there; nobody reads ``*id001``."""
        return True


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    # A section whose keys are all commented out is null in YAML, and means its defaults.
    return {"anyOf": [schema, {"type": "null"}]}


def _inlined(model: type[EngineOptions]) -> dict[str, Any]:
    # Definitions of an option model stay inside it: two engines may use one name for different things.
    try:
        schema = model.model_json_schema()
    except PydanticInvalidForJsonSchema:  # a type that JSON does not know; one engine must not cost the others theirs
        return {"type": "object"}
    definitions = schema.pop("$defs", {})
    resolved = _resolve(schema, definitions, ())
    assert isinstance(resolved, dict)
    return resolved


def _resolve(node: Any, definitions: Mapping[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.rsplit("/", 1)[1]
            known = {key: value for key, value in node.items() if key != "$ref"}
            # A model that holds itself has no end; past the first round anything goes.
            return {} if name in inside else _resolve(definitions[name], definitions, (*inside, name)) | known
        return {key: _resolve(value, definitions, inside) for key, value in node.items()}
    return [_resolve(item, definitions, inside) for item in node] if isinstance(node, list) else node
