"""Write the weights of the speaker encoder that vtune ships, from the package Resemblyzer (Apache-2.0).

    pip install --no-deps resemblyzer==0.1.4 && python tools/write_speaker_encoder.py

The package's file has the state of its training's optimizer beside the weights; the weights are kept, as float16.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch
from safetensors.torch import save_file

TARGET = Path(__file__).resolve().parents[1] / "core/vtune/audio/speaker_encoder/weights.safetensors"


def main() -> None:
    """Read ``pretrained.pt`` of the installed package, and write float16 tensors."""
    spec = importlib.util.find_spec("resemblyzer")
    if spec is None or spec.origin is None:
        raise SystemExit("install resemblyzer first")
    state = torch.load(Path(spec.origin).parent / "pretrained.pt", map_location="cpu", weights_only=True)["model_state"]
    tensors = {name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))}
    TARGET.parent.mkdir(exist_ok=True)
    save_file({name: value.to(torch.float16).contiguous() for name, value in tensors.items()}, str(TARGET))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes, {sum(value.numel() for value in tensors.values()):,} numbers")


if __name__ == "__main__":
    main()
