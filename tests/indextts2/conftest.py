from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_indextts2 import nano_checkpoint
from vtune_indextts2.base import IndexTTS2Base
from vtune_indextts2.options import IndexTTS2Options

KIT = "VTUNE_PARITY_KIT"


@pytest.fixture(scope="session")
def kit_folder() -> Path:
    """Return the folder of a parity kit, which is not part of the project; its README says what a kit is."""
    if not os.environ.get(KIT):
        pytest.skip(f"no parity kit: name its folder in the environment variable {KIT}")
    folder = Path(os.environ[KIT]).expanduser()
    if not (folder / "check_kit.py").is_file():
        pytest.fail(f"{KIT}: {folder} holds no check_kit.py, so it is no parity kit")
    return folder


@pytest.fixture(scope="session")
def kit(kit_folder: Path) -> Callable[[str], Any]:
    """Open a stage: ``kit("c_codec").inp(case, name)``, ``.weights(part)``, ``.compare(case, name, got)``."""
    sys.path.insert(0, str(kit_folder))
    try:
        spec = importlib.util.spec_from_file_location("check_kit", kit_folder / "check_kit.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(kit_folder))
    opened: dict[str, Any] = {}

    def stage(name: str) -> Any:
        if name not in opened:
            opened[name] = module.Fixture(name, kit_folder)
        return opened[name]

    return stage


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
