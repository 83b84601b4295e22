from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from indextts2_runs import Made, run_recipe, write_speech

from vtune_indextts2 import nano_checkpoint
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.options import IndexTTS2Options

KITS = {"VTUNE_PARITY_KIT": "IndexTTS-2", "VTUNE_PARITY25_KIT": "IndexTTS-2.5"}
"""Variables with the folders of parity kits, which are not part of the project; its README says what a kit is."""

Kit = Callable[[str], Any]


def folder_in(variable: str) -> Path:
    """Return the folder of a kit."""
    if not os.environ.get(variable):
        pytest.skip(f"no parity kit of {KITS[variable]}: name its folder in the environment variable {variable}")
    folder = Path(os.environ[variable]).expanduser()
    if not (folder / "check_kit.py").is_file():
        pytest.fail(f"{variable}: {folder} holds no check_kit.py, so it is no parity kit")
    return folder


def opened(folder: Path) -> Kit:
    """Open stages of a kit: ``kit("c_codec").inp(case, name)``, ``.weights(part)``, ``.compare(case, name, got)``."""
    # Both kits have modules of these names, so each gets its own.
    names = ("fill", "check_kit")
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location(f"check_kit_of_{folder.name}", folder / "check_kit.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
    return cache(lambda stage: module.Fixture(stage, folder))


@pytest.fixture(scope="session")
def kit_folder() -> Path:
    """Return the folder of the parity kit of IndexTTS-2."""
    return folder_in("VTUNE_PARITY_KIT")


@pytest.fixture(scope="session")
def kit(kit_folder: Path) -> Kit:
    """Open a stage of IndexTTS-2."""
    return opened(kit_folder)


@pytest.fixture(scope="session")
def kit25_folder() -> Path:
    """Return the folder of the parity kit of IndexTTS-2.5."""
    return folder_in("VTUNE_PARITY25_KIT")


@pytest.fixture(scope="session")
def kit25(kit25_folder: Path) -> Kit:
    """Open a stage of IndexTTS-2.5."""
    return opened(kit25_folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a complete checkpoint with small random weights. Tests must not write into it."""
    folder = tmp_path_factory.mktemp("indextts2")
    nano_checkpoint.build(folder, width=32, layers=2)
    return folder


@pytest.fixture(scope="session")
def make_base(tiny: Path) -> Callable[..., IndexTTS2Base]:
    def make(**options: Any) -> IndexTTS2Base:
        settings = {"base_model": str(tiny), "normaliser": "basic", "max_codes": 20, "flow_steps": 2, **options}
        return IndexTTS2Base(IndexTTS2Options.model_validate(settings), torch.device("cpu"), torch.float32)

    return make


@pytest.fixture(scope="session")
def tiny25(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a complete checkpoint of IndexTTS-2.5 with small random weights. Tests must not write into it."""
    folder = tmp_path_factory.mktemp("indextts25")
    nano_checkpoint.build(folder, width=32, layers=2, release="2.5")
    return folder


@pytest.fixture(scope="session")
def make_base25(tiny25: Path, make_base: Callable[..., IndexTTS2Base]) -> Callable[..., IndexTTS2Base]:
    def make(**options: Any) -> IndexTTS2Base:
        return make_base(**{"base_model": str(tiny25), **options})

    return make


@pytest.fixture(scope="session")
def speakers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two voices of unequal length, each a folder of clips with its own sample rate."""
    return write_speech(tmp_path_factory.mktemp("speakers"))


@pytest.fixture(scope="session")
def made20(speakers: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Train a LoRA voice of IndexTTS-2 with gradient checkpointing, in a run that is never stopped."""
    root = tmp_path_factory.mktemp("made20")
    (folder,) = run_recipe(speakers, tiny, root)
    return Made(folder, root)


@pytest.fixture(scope="session")
def made25(speakers: Path, tiny25: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Train the same voice of IndexTTS-2.5."""
    root = tmp_path_factory.mktemp("made25")
    (folder,) = run_recipe(speakers, tiny25, root)
    return Made(folder, root)
