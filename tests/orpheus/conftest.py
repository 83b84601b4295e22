from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from vtune_orpheus.base import OrpheusBase
from vtune_orpheus.options import OrpheusOptions
from vtune_orpheus.tiny_checkpoint import CODEC_CONFIG, build

TINY_CODEC = {**CODEC_CONFIG, "encoder_dim": 4, "decoder_dim": 32, "codebook_size": 32}


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a checkpoint of two narrow layers and a codec with 32 codes."""
    folder = tmp_path_factory.mktemp("tiny")
    build(folder, hidden=32, layers=2, codec=TINY_CODEC)
    return folder


@pytest.fixture(scope="session")
def make_base(tiny: Path) -> Any:
    def make(**options: Any) -> OrpheusBase:
        settings = {"base_model": str(tiny), **options}
        return OrpheusBase(OrpheusOptions.model_validate(settings), torch.device("cpu"), torch.float32)

    return make


@pytest.fixture(scope="session")
def base(make_base: Any) -> OrpheusBase:
    made: OrpheusBase = make_base()
    return made
