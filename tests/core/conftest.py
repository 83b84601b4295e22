from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vtune.engines import load_recipe
from vtune.recipe import Recipe


@pytest.fixture
def toy_recipe(tmp_path: Path, speech: Callable[..., Path]) -> Callable[..., Path]:
    """Write a recipe for the toy engine over eight made clips; keywords are merged into its sections."""

    def write(name: str = "recipe.yaml", clips: int = 8, **sections: object) -> Path:
        source = tmp_path / "speech"
        if not source.exists():
            speech(count=clips)
        recipe = {
            "voice": "someone",
            "engine": "toy",
            "data": [{"source": str(source)}],
            "folders": {"runs": str(tmp_path / "runs"), "voices": str(tmp_path / "voices")},
            "train": {
                "epochs": 2,
                "batch_size": 2,
                "learning_rate": 1e-2,
                "validation": 0,
                "log_every": 1,
                "warmup": 0,
            },
            # Judges with a network of their own have tests of their own.
            "evaluate": {"sentences": ["hello there"], "judges": ["delivery", "speed"], "trained": 0},
        }
        for key, value in sections.items():
            old = recipe.get(key)
            recipe[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
        path = tmp_path / name
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        return path

    return write


@pytest.fixture
def toy(toy_recipe: Callable[..., Path]) -> Callable[..., Recipe]:
    """The same, loaded."""

    def load(**sections: object) -> Recipe:
        return load_recipe(toy_recipe(**sections))

    return load
