"""Add to an exported voice what sherpa-onnx must know: metadata in the graph, and the symbols in ``tokens.txt``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def add_metadata(model: onnx.ModelProto, config: Mapping[str, Any]) -> None:
    """Write sherpa-onnx's facts about a voice into the model; sherpa-onnx reads voices of phonemes only.

    :param config: content of the voice's JSON file.
    """
    from onnx import helper

    if config["phoneme_type"] != "espeak":
        return
    facts = {
        "model_type": "vits",
        "comment": "piper",
        "language": config["language"]["code"],
        "voice": config["espeak"]["voice"],
        "has_espeak": 1,
        "n_speakers": config["num_speakers"],
        "sample_rate": config["audio"]["sample_rate"],
    }
    helper.set_model_props(model, {name: str(value) for name, value in facts.items()})


def write_tokens(config: Mapping[str, Any], path: Path) -> None:
    """Write ``tokens.txt``: each symbol with its first id. Nothing is written for voices without phonemes."""
    if config["phoneme_type"] != "espeak":
        return
    lines = [f"{symbol} {ids[0]}\n" for symbol, ids in config["phoneme_id_map"].items() if ids and len(symbol) == 1]
    path.write_text("".join(lines), encoding="utf-8")
