"""Gather the pages of the site in one folder: those of ``docs/``, and those that stand elsewhere in the repository."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from fences import outside_blocks, without_marks

ROOT = Path(__file__).resolve().parents[2]

ELSEWHERE = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "CHANGELOG.md": "project/changelog.md",
    "benchmarks/README.md": "project/benchmarks.md",
    "plugins/orpheus/vtune_orpheus/nano/README.md": "project/nano.md",
    "tools/nano/README.md": "project/nano-training.md",
    "recipes/quickstart/README.md": "project/quickstart-recordings.md",
}
"""Page of the repository -> its place on the site."""

_ITEM = re.compile(r"^(?P<indent> *)(?P<mark>[-*]|\d+\.)(?P<space> +)\S")
_CODE = re.compile(r"`[^`]+`")


def gather(folder: Path) -> None:
    """Write every page into a new folder, with the links and the lists of the site."""
    shutil.copytree(ROOT / "docs", folder)
    places = {f"docs/{path.relative_to(ROOT / 'docs').as_posix()}": path for path in (ROOT / "docs").rglob("*.md")}
    for name in [*places, *ELSEWHERE]:
        page = folder / place_on_site(name)
        page.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / name).read_text(encoding="utf-8")
        page.write_text(python_markdown(with_site_links(text, name)), encoding="utf-8")


def place_on_site(name: str) -> str:
    """Return where a page of the repository stands on the site; the README is the home page."""
    if name == "README.md":
        return "index.md"
    return ELSEWHERE.get(name) or name.removeprefix("docs/")


def with_site_links(text: str, name: str) -> str:
    """Make the links of a page lead to pages of the site; a link to a file that is no page becomes the name of the
    file.
    """
    here = os.path.dirname(place_on_site(name))

    def link(match: re.Match[str]) -> str:
        label, target, anchor = match["label"], match["target"], match["anchor"] or ""
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = os.path.normpath(os.path.join(os.path.dirname(name), target))
        if path.startswith("docs/") or path in ELSEWHERE or path == "README.md":
            return f"[{label}]({os.path.relpath(place_on_site(path), here or '.')}{anchor})"
        return label if f"`{path}`" == label else f"{label} (`{path}`)"

    pattern = re.compile(r"\[(?P<label>[^\[\]]*)\]\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")
    lines = text.splitlines()
    # A label may run over the end of a line; a code block may hold what looks like a link.
    free = dict(outside_blocks(text))
    parts, run = [], []
    for number, line in enumerate(lines, 1):
        if number in free:
            run.append(line)
        else:
            parts += [pattern.sub(link, "\n".join(run))] if run else []
            parts.append(without_marks(line))
            run = []
    parts += [pattern.sub(link, "\n".join(run))] if run else []
    return "\n".join(parts) + "\n"


def python_markdown(text: str) -> str:
    """Write lists and tables as Python-Markdown wants them, where GitHub wants them otherwise.

    Lists are indented by four for each level and have a blank line before them. A bar in the code of a table's cell has
    no backslash: Python-Markdown would show the backslash.

    Example::

        "Three things:\\n- one\\n  - two" becomes "Three things:\\n\\n- one\\n    - two"
    """
    free = dict(outside_blocks(text))
    written: list[str] = []
    levels: list[int] = []  # column at which the text of each open list item begins
    for number, line in enumerate(text.splitlines(), 1):
        if number in free and line.lstrip().startswith("|"):
            line = _CODE.sub(lambda code: code[0].replace("\\|", "|"), line)
        indent = len(line) - len(line.lstrip())
        item = _ITEM.match(line) if number in free else None
        if line.strip() and (item or not written or not written[-1].strip() or number not in free):
            while levels and indent < levels[-1]:
                levels.pop()
        depth = len(levels)
        if item:
            if not depth and written and written[-1].strip() and not _in_list(written):
                written.append("")
            levels.append(indent + len(item["mark"]) + len(item["space"]))
        column = levels[depth - 1] if depth else 0
        written.append(" " * 4 * depth + line[min(column, indent) :] if line.strip() else "")
    return "\n".join(written) + "\n"


def _in_list(written: list[str]) -> bool:
    """Tell whether the last paragraph that was written is an item of a list."""
    for line in reversed(written):
        if not line.strip():
            return False
        if _ITEM.match(line):
            return True
    return False
