"""YAML to plain data with line numbers: the 1.2 core schema, no tags, no duplicate keys, no surprises.

YAML 1.1, which PyYAML's own resolver follows, would read ``5e-5`` as text, ``no`` as false and ``1:30`` as ninety.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml

from vtune.errors import RecipeError, shown
from vtune.recipe.draft import Draft, KeyPath, merge
from vtune.recipe.yaml_nodes import MAX_DEPTH, MAX_VALUES, TOO_LARGE, Unreadable, character_code, compose
from vtune.runtime.untrusted import read_text, require_regular, why

MAX_BYTES = 1_000_000
MAX_EXTENDS = 16
"""Recipes above one another; each level is read and merged anew."""

MAX_PROBLEMS = 100

_NULL = re.compile(r"^(~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]{1,18}$")
_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?$")
_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
_UNTEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


def read_draft(path: Path) -> Draft:
    """Read a recipe and all that it ``extends``.

    :raises RecipeError: the file cannot be read or parsed, or extends itself.
    """
    return _read(path, ())


def parse(text: str, origin: str) -> Any:
    """Parse one YAML value, as an override gives it. :raises RecipeError: the text is not YAML."""
    return _Reader(origin, numbered=False).read(text)[0]


def read_yaml(path: Path) -> Any:
    """Read a file of one YAML document that is no recipe (a model's configuration, a server's settings) by its rules.

    :raises RecipeError: the file cannot be read or parsed; FileRefused: the file is no text file, or too large.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except FileNotFoundError as error:
        raise RecipeError([f"{path}: there is no such file"]) from error
    except OSError as error:
        raise RecipeError([f"{path}: cannot be read: {why(error)}"]) from error
    return parse(text, str(path))


def plain_value(text: str) -> Any:
    """Read a scalar without quotes or tag: null, a truth value, a number, else the text itself."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text):
        return int(text)
    if _FLOAT.match(text):
        return float(text)
    return _SPECIAL.get(text.lower(), text)


def _read(path: Path, above: tuple[Path, ...]) -> Draft:
    reader = _Reader(str(path), numbered=True)
    data, origins = reader.read(_text(path))
    if data is None:
        raise RecipeError([f"{path}: the recipe is empty; 'vtune recipe copy' writes a recipe to start from"])
    if not isinstance(data, dict):
        raise RecipeError([f"{path}:1: a recipe must be a mapping of keys to values, found {_kind(data)}"])
    draft = Draft(str(path), path.parent, data, origins, dict.fromkeys(data, path))
    if "extends" not in data:
        return draft
    origin = draft.origin(("extends",))
    parent = data.pop("extends")
    if not isinstance(parent, str) or not parent:
        raise RecipeError([f"{origin}: 'extends' must name one recipe file, found {shown(parent)}"])
    parent_path = path.parent / parent
    if os.path.exists(parent_path) and not os.path.isdir(parent_path):
        require_regular(parent_path)
    if not os.path.isfile(parent_path):  # unlike Path.is_file, false for a name that no file system takes
        raise RecipeError(
            [f"{origin}: 'extends' names {shown(parent)}, but the folder {str(path.parent)!r} has no such file"]
        )
    chain = (*above, path.resolve())
    if parent_path.resolve() in chain:
        raise RecipeError([f"{origin}: 'extends' leads back to {parent_path}; a recipe cannot extend itself"])
    if len(chain) > MAX_EXTENDS:
        raise RecipeError([f"{origin}: more than {MAX_EXTENDS} recipes extend one another; merge some of them"])
    return merge(_read(parent_path, chain), draft)


def _text(path: Path) -> str:
    try:
        if not os.path.isfile(path):
            raise RecipeError([f"{path}: there is no such recipe; 'vtune recipe list' shows the built-in recipes"])
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError([f"{path}: the file has {path.stat().st_size:,} bytes, a recipe at most {MAX_BYTES:,}"])
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError([f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8"]) from error
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
            node = compose(text)
            data = None if node is None else self._value(node, (), 0)
        except Unreadable as error:
            raise RecipeError([f"{self._at(error.line)}: {error}"]) from error
        if self._problems:
            raise RecipeError(self._problems)
        return data, self._origins

    def _value(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        self._values += 1
        line = node.start_mark.line + 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            raise Unreadable(line, TOO_LARGE)
        if path and path not in self._origins:
            self._origins[path] = self._at(line)
        if node.tag:
            self._problem(line, f"YAML tags are not allowed; remove {shown(node.tag)}")
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, i), depth + 1) for i, item in enumerate(node.value)]
        return self._scalar(node, line)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag:
                self._problem(line, "a key must be plain text, without a tag, a list or a mapping")
                continue
            key = self._text(key_node, line)
            here = (*path, key)
            if key in data:
                self._problem(line, f"the key {shown(key)} is written twice; the first is at {self._origins[here]}")
                continue
            self._origins[here] = self._at(line)
            data[key] = self._value(value_node, here, depth + 1)
        return data

    def _scalar(self, node: yaml.Node, line: int) -> Any:
        text = self._text(node, line)
        return plain_value(text) if getattr(node, "style", None) is None else text

    def _text(self, node: yaml.Node, line: int) -> str:
        text = str(node.value)
        character = _UNTEXT.search(text)
        if character:  # an escape can write what neither a terminal nor a file takes
            self._problem(line, f"the character {character_code(character.group())} is not allowed in text; remove it")
        return text

    def _problem(self, line: int, text: str) -> None:
        self._problems.append(f"{self._at(line)}: {text}")
        if len(self._problems) >= MAX_PROBLEMS:
            raise RecipeError(self._problems)

    def _at(self, line: int) -> str:
        return f"{self._origin}:{line}" if self._numbered else self._origin


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) else f"the single value {shown(value)}"
