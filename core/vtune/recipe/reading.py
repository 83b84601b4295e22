"""YAML to plain data with line numbers: the 1.2 core schema, no tags, no duplicate keys, no surprises.

PyYAML parses; its own resolver is not used, because YAML 1.1 reads ``5e-5`` as text, ``no`` as false and ``1:30``
as ninety.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from vtune.errors import RecipeError
from vtune.recipe.draft import Draft, KeyPath, merge

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 40

_NULL = re.compile(r"^(~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]{1,18}$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?$")
_SPECIAL = {".inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}


def read_draft(path: Path) -> Draft:
    """Read a recipe and all that it ``extends``.

    :raises RecipeError: the file cannot be read or parsed, or extends itself.
    """
    return _read(path, ())


def parse(text: str, origin: str) -> Any:
    """Parse one YAML value, as an override gives it. :raises RecipeError: it is not YAML."""
    return _Reader(origin, numbered=False).read(text)[0]


def _read(path: Path, above: tuple[Path, ...]) -> Draft:
    resolved = path.resolve()
    if resolved in above:
        raise RecipeError([f"{above[-1]}: 'extends' goes in a circle back to {path}"])
    reader = _Reader(str(path), numbered=True)
    data, origins = reader.read(_text(path))
    if data is None:
        raise RecipeError([f"{path}: the recipe is empty; 'vtune recipe copy' gives one to start from"])
    if not isinstance(data, dict):
        raise RecipeError([f"{path}:1: a recipe is a mapping of keys to values, found {_kind(data)}"])
    draft = Draft(str(path), path.parent, data, origins)
    if "extends" not in data:
        return draft
    place = draft.origin(("extends",))
    parent = data.pop("extends")
    if not isinstance(parent, str) or not parent:
        raise RecipeError([f"{place}: 'extends' names one recipe file, found {parent!r}"])
    parent_path = path.parent / parent
    if not parent_path.is_file():
        raise RecipeError([f"{place}: 'extends' names {parent!r}, but there is no file {parent_path}"])
    return merge(_read(parent_path, (*above, resolved)), draft)


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise RecipeError([f"{path}: no such recipe; 'vtune recipe list' shows the ones that come with vtune"])
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError([f"{path}: {path.stat().st_size:,} bytes is no recipe (at most {MAX_BYTES:,})"])
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError([f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8"]) from error
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read: {error.strerror}"]) from error


class _Reader:
    """Turns one document into plain data, counting values so that no alias bomb can grow."""

    def __init__(self, origin: str, *, numbered: bool) -> None:
        self._origin = origin
        self._numbered = numbered
        self._origins: dict[KeyPath, str] = {}
        self._values = 0
        self._problems: list[str] = []

    def read(self, text: str) -> tuple[Any, dict[KeyPath, str]]:
        try:
            nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            raise RecipeError([self._syntax(error, text)]) from error
        except yaml.YAMLError as error:
            raise RecipeError([f"{self._origin}: not YAML: {_first_line(error)}"]) from error
        except RecursionError as error:
            raise RecipeError([f"{self._origin}: nested too deeply to be a recipe"]) from error
        if len(nodes) > 1:
            second = nodes[1].start_mark.line + 1
            raise RecipeError([f"{self._at(second)}: a second document starts here; a recipe is one"])
        data = self._value(nodes[0], (), 0) if nodes and nodes[0] is not None else None
        if self._problems:
            raise RecipeError(self._problems)
        return data, self._origins

    def _value(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self._values += 1
        line = node.start_mark.line + 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise RecipeError([f"{self._at(line)}: too many or too deeply nested values to be a recipe"])
        if path and path not in self._origins:
            self._origins[path] = self._at(line)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.append(f"{self._at(line)}: a key must be a plain word")
                continue
            key = str(key_node.value)
            here = (*path, key)
            if key in data:
                first = self._origins[here]
                self._problems.append(f"{self._at(line)}: key {key[:60]!r} stands twice, first at {first}")
                continue
            self._origins[here] = self._at(line)
            data[key] = self._value(value_node, here, depth + 1)
        return data

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        text = str(node.value)
        standard = node.tag.startswith("tag:yaml.org,2002:")
        if not standard or node.tag.endswith((":binary", ":set", ":omap", ":pairs")):
            self._problems.append(f"{self._at(line)}: tag {node.tag[:60]!r} is not used in recipes; drop it")
            return None
        if getattr(node, "style", None) is not None:
            return text
        if _NULL.match(text):
            return None
        if _BOOL.match(text):
            return text.lower() == "true"
        if _INT.match(text):
            return int(text)
        if _FLOAT.match(text):
            return float(text)
        return _SPECIAL.get(text.lower(), text)

    def _at(self, line: int) -> str:
        return f"{self._origin}:{line}" if self._numbered else self._origin

    def _syntax(self, error: yaml.MarkedYAMLError, text: str) -> str:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        lines = text.splitlines()
        shown = lines[line - 1] if 0 < line <= len(lines) else ""
        if "\t" in shown:
            return f"{self._at(line)}: a tab character; YAML indents with spaces"
        problem = " ".join(str(error.problem or error.context or "cannot be parsed").split())
        return f"{self._at(line)}: not YAML: {problem[:120]}, found {shown.strip()[:60]!r}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:120]


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the single value {str(value)[:60]!r}"
