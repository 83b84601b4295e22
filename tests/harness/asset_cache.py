"""Keep what engines make once for a base out of the user's cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import huggingface_hub
import pytest


@contextmanager
def assets_in(folder: Path) -> Iterator[Path]:
    """Let this process, and those that it starts, keep such files in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            huggingface_hub, "cached_assets_path", partial(huggingface_hub.cached_assets_path, assets_dir=folder)
        )
        patch.setenv("HF_ASSETS_CACHE", str(folder))
        yield folder
