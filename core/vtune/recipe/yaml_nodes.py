"""Parse YAML text into one tree of nodes: PyYAML without its resolver, limited to the size of a recipe."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.reader import ReaderError

from vtune.errors import in_a_line, shown

MAX_VALUES = 20_000
MAX_DEPTH = 40
TOO_LARGE = f"too many values (at most {MAX_VALUES:,}) or too many levels (at most {MAX_DEPTH})"


class Unreadable(Exception):
    """Text that is not one YAML document, and the line that shows it."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def compose(text: str) -> yaml.Node | None:
    """Return the root of the only document, or None if there is nothing but comments.

    A node has a tag only where one was written, else an empty one. :raises Unreadable: the text cannot be parsed.
    """
    nodes: list[yaml.Node] = []
    line = 1
    try:
        loader = _Composer(text)
        try:
            while (node := loader.get_node() if loader.check_node() else None) is not None:
                nodes.append(node)
        finally:
            line = loader.get_mark().line + 1
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error, text) from error
    except ReaderError as error:
        before = text.count("\n", 0, error.position)
        raise Unreadable(
            before + 1, f"the character {character_code(error.character)} is not allowed in text; remove it"
        ) from error
    except (ValueError, OverflowError) as error:  # PyYAML does not check every escape and directive
        raise Unreadable(line, f"not YAML: {in_a_line(error)}") from error
    if len(nodes) > 1:
        raise Unreadable(
            nodes[1].start_mark.line + 1, "a second YAML document starts here; the file must have one only"
        )
    return nodes[0] if nodes else None


def character_code(character: str | int) -> str:
    """Name a character that cannot be shown."""
    return f"U+{character if isinstance(character, int) else ord(character):04X}"


class _Composer(yaml.BaseLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0
        self._depth = 0

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Leave the tag empty."""
        return ""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Stop before a giant costs minutes or the stack."""
        self._values += 1
        self._depth += 1
        if self._values > 2 * MAX_VALUES or self._depth > MAX_DEPTH + 2:  # keys are counted here as well
            raise Unreadable(self.get_mark().line + 1, TOO_LARGE)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _syntax(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 1
    lines = text.splitlines()
    content = lines[line - 1] if 0 < line <= len(lines) else ""
    problem = " ".join(str(error.problem or error.context or "cannot be parsed").split())
    indent = content[: len(content) - len(content.lstrip())]
    if "\t" in indent or "'\\t'" in problem:
        return Unreadable(line, "there is a tab character; indent YAML with spaces")
    context = f"found {shown(content.strip())}" if content.strip() else "found an empty line or the end"
    return Unreadable(line, f"not YAML: {problem[:120]}, {context}")
