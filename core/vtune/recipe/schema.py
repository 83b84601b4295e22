"""A JSON schema of the whole recipe, engines' and extensions' options included, for editors that complete YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from vtune.recipe.sections import Recipe
from vtune.types import EngineInfo, EngineOptions


def recipe_schema(engines: Mapping[str, EngineInfo], extensions: Mapping[str, type[EngineOptions]]) -> dict[str, Any]:
    """Return a draft 2020-12 schema: ``engine`` picks what ``engine_options`` may hold."""
    schema = Recipe.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "vtune recipe"
    properties = schema["properties"]
    properties["extends"] = {"type": "string", "description": "a recipe file that this one is laid over"}
    properties["engine"]["enum"] = sorted(engines)
    schema["allOf"] = []
    for name, info in sorted(engines.items()):
        schema["$defs"][f"{name} options"] = _inlined(info.options)
        schema["allOf"].append(
            {
                "if": {"properties": {"engine": {"const": name}}, "required": ["engine"]},
                "then": {"properties": {"engine_options": {"$ref": f"#/$defs/{name}%20options"}}},
            }
        )
    properties["extensions"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _inlined(model) for name, model in sorted(extensions.items())},
    }
    # What a recipe extends may hold what it lacks itself, so nothing is required of the file alone.
    schema["anyOf"] = [{"required": ["extends"]}, {"required": schema.pop("required")}]
    return schema


def as_yaml(recipe: Recipe) -> str:
    """Write a resolved recipe out, every default included; it can be run again."""
    return str(yaml.safe_dump(recipe.settings(), sort_keys=False, allow_unicode=True, width=110))


def _inlined(model: type[EngineOptions]) -> dict[str, Any]:
    # Definitions of an option model stay inside it: two engines may use one name for different things.
    schema = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    resolved = _resolve(schema, definitions)
    assert isinstance(resolved, dict)
    return resolved


def _resolve(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str):
            return _resolve(definitions[reference.rsplit("/", 1)[1]], definitions)
        return {key: _resolve(value, definitions) for key, value in node.items()}
    return [_resolve(item, definitions) for item in node] if isinstance(node, list) else node
