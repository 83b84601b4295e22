"""Make what transformers 5 writes readable for software written for transformers 4.

Such software finds no ``rope_theta`` and takes 10,000 in silence, and knows no tokenizer class ``TokenizersBackend``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vtune.runtime.paths import write_json
from vtune.runtime.untrusted import MAX_TOKENIZER_BYTES, read_json_object


def write_for_older_readers(directory: Path) -> None:
    """Add the older names of settings beside the newer names, so that both generations read the same."""
    _rewrite(directory / "config.json", _positions)
    _rewrite(directory / "tokenizer_config.json", _tokenizer)


def _rewrite(path: Path, change: Any) -> None:
    if path.is_file():
        write_json(path, change(read_json_object(path, MAX_TOKENIZER_BYTES)))


def _positions(config: dict[str, Any]) -> dict[str, Any]:
    rope = config.get("rope_parameters")
    if not isinstance(rope, dict) or "rope_theta" not in rope:
        return config
    scaling = {name: value for name, value in rope.items() if name != "rope_theta"}
    plain = scaling.get("rope_type", "default") == "default"
    return {**config, "rope_theta": rope["rope_theta"], "rope_scaling": None if plain else scaling}


def _tokenizer(config: dict[str, Any]) -> dict[str, Any]:
    if config.get("tokenizer_class") != "TokenizersBackend":
        return config
    changed = {**config, "tokenizer_class": "PreTrainedTokenizerFast"}
    if isinstance(changed.get("extra_special_tokens"), list):
        changed["additional_special_tokens"] = changed.pop("extra_special_tokens")
    return changed
