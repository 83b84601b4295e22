"""The recipes that come with vtune: in the checkout's ``recipes/``, or beside this package in a wheel."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vtune.errors import RecipeError, choices, shown
from vtune.runtime.untrusted import require_regular


def builtin_recipes() -> dict[str, Path]:
    """Return the built-in recipes by name (file name without ``.yaml``)."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "recipes", package.parents[1] / "recipes"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    return {}


def about_recipe(path: Path) -> list[str]:
    """Return the lines of comment at the beginning of a recipe, up to the first empty one: what it says of itself."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#") or not line.strip("# "):
            break
        lines.append(line.removeprefix("#").strip())
    return lines


def find_recipe(name: str, installed: Callable[[], Mapping[str, Path]] = dict) -> Path:
    """Resolve what a user typed: a path, the name of a built-in recipe, or that of a recipe of an installed engine.

    :param installed: returns the recipes of engines by name; called only if nothing else has the name.
    :raises RecipeError: none of these exists; suggests the nearest. FileRefused: it is a FIFO or a device.
    """
    path = Path(name)
    if os.path.isfile(path):  # unlike Path.is_file, false for a name that no file system takes
        return path
    if os.path.exists(path) and not path.is_dir():
        require_regular(path)
    known = builtin_recipes()
    if name in known:
        return known[name]
    known = {**installed(), **known}
    if name in known:
        return known[name]
    looks_like_path = path.suffix in {".yaml", ".yml"} or len(path.parts) > 1
    what = "recipe file" if looks_like_path else "built-in recipe"
    raise RecipeError([f"no {what} {shown(name)}{choices(path.stem, known, 'built in')}"])
