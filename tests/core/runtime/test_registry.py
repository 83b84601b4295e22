"""A registry finds every module of a package, and names a module that is wrong."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vtune.runtime.registry import read_registry


@dataclass
class Entry:
    name: str


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for module, name in (("square", "square"), ("circle_shape", "circle")):
        (folder / f"{module}.py").write_text(f"from {__name__} import Entry\nSHAPE = Entry({name!r})\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    for name in [name for name in sys.modules if name.partition(".")[0] == "shapes"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_entries_are_found_by_their_names(package: Path) -> None:
    assert list(read_registry("shapes", "SHAPE", Entry)) == ["circle", "square"]


def test_a_module_without_an_entry_and_a_name_that_is_taken_are_mistakes(package: Path) -> None:
    (package / "triangle.py").write_text("")
    with pytest.raises(TypeError, match=r"shapes\.triangle must declare SHAPE of type Entry, found NoneType"):
        read_registry("shapes", "SHAPE", Entry)
    (package / "triangle.py").write_text(f"from {__name__} import Entry\nSHAPE = Entry('square')  # the same name\n")
    sys.modules.pop("shapes.triangle")
    with pytest.raises(TypeError, match=r"shapes\.triangle: another module of shapes has the name 'square' already"):
        read_registry("shapes", "SHAPE", Entry)
