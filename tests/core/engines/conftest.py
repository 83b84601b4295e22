from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vtune.engines.contributions import extension_contributions

ENGINE = """\
import numpy as np

import vtune

class Options(vtune.EngineOptions):
    size: int = vtune.option(1, affects="training")

@vtune.hookimpl
def engine_info():
    return vtune.EngineInfo(sample_rate=8000, features_version="1", options=Options, length_feature="tokens")

@vtune.hookimpl
def load_base(options, device, dtype):
    return {"size": options.size, "device": device}

@vtune.hookimpl
def prepare_sample(base, clip):
    return {"tokens": np.asarray([base["size"], len(clip.text)])}

@vtune.hookimpl
def collate(features):
    import torch

    return {"labels": torch.as_tensor(np.stack([row["tokens"] for row in features]))}

@vtune.hookimpl
def build_lora_model(base, lora):
    return (base, lora)

@vtune.hookimpl
def extract_conditioning(clips):
    return vtune.Conditioning({}, {"voice": clips[0].voice})

@vtune.hookimpl
def synthesize(text, seed):
    yield vtune.Audio(np.full(len(text), 0.1, np.float32), 8000)
    yield vtune.Audio(np.full(seed, 0.2, np.float32), 8000, vtune.Ending.END_TOKEN)
"""

EXTENSION = """\
import vtune

class Options(vtune.EngineOptions):
    red: int = vtune.option(1, affects="speech")

@vtune.hookimpl
def extension_info():
    return vtune.ExtensionInfo("colours", Options)

@vtune.hookimpl
def trainer_callbacks(recipe):
    return [("colours of", recipe)]
"""


@pytest.fixture
def engine() -> str:
    """Return the source of a whole engine that does not use torch."""
    return ENGINE


@pytest.fixture
def extension() -> str:
    return EXTENSION


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a distribution: modules and entry points in a folder of ``sys.path``, as pip leaves them."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def make(name: str, group: str, entries: dict[str, str], **modules: str) -> None:
        info = site / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{entry} = {value}" for entry, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source)
        importlib.invalidate_caches()
        extension_contributions.cache_clear()

    yield make
    extension_contributions.cache_clear()
    for module in set(sys.modules) - before:
        if str(site) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]
