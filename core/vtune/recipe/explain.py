"""What pydantic found wrong with one value, in the words of a recipe: what it must be, and what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtune.errors import in_a_line, nearest, shown

# By pydantic's error types; the fields in braces are from the error's context.
_EXPECTED = {
    "bool_parsing": "be true or false",
    "bool_type": "be true or false",
    "callable_type": "be a function",
    "dict_type": "be a mapping of keys to values",
    "finite_number": "be a finite number",
    "float_parsing": "be a number",
    "float_type": "be a number",
    "greater_than": "be above {gt}",
    "greater_than_equal": "be {ge} or more",
    "int_from_float": "be a whole number",
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a whole number with fewer digits",
    "int_type": "be a whole number",
    "less_than": "be below {lt}",
    "less_than_equal": "be {le} or less",
    "list_type": "be a list",
    "literal_error": "be {expected}",
    "model_type": "be a section (keys with values)",
    "path_type": "be a path",
    "string_pattern_mismatch": "match the pattern {pattern}",
    "string_type": "be text",
    "tuple_type": "be a tuple",
}


def explain(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as a predicate: ``"must be above 0, found -1"``.

    A validator's own message stands as it is.
    """
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind in {"too_short", "string_too_short"}:
        count, unit = context["min_length"], "item" if kind == "too_short" else "character"
        message = f"must have {count} {unit}{'s' * (count > 1)} or more"
        message = "must not be empty" if count == 1 else message
    elif kind == "missing" and isinstance(value, list | tuple):
        message = "must not be missing"
    elif kind in _EXPECTED:
        message = f"must {_EXPECTED[kind].format(**{name: _plain(limit) for name, limit in context.items()})}"
    else:
        message = in_a_line(error["msg"]).removeprefix("Value error, ")
    if not message.startswith("must "):
        return f": {message}" if isinstance(value, dict) else f": {message} (found {as_written(value)})"
    return f" {message}, found {as_written(value)}{_hint(kind, context, value)}"


def as_written(value: Any) -> str:
    """Write a value into a message as YAML writes it: ``null``, ``true``, ``'text'``; 60 characters at most."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return shown(value)


def _plain(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def _hint(kind: str, context: Mapping[str, Any], value: Any) -> str:
    if kind == "literal_error" and isinstance(value, str):
        return nearest(value, context["expected"].split("'")[1::2])
    if kind == "string_type" and isinstance(value, int | float):  # a truth value too
        return "; put it in quotes"
    return ""
