"""What the engine loads once: here the frozen network."""

from __future__ import annotations

import torch
from torch import nn

from acoustic_engine.network import AcousticNetwork
from acoustic_engine.options import AcousticOptions


class AcousticBase:
    """The state that every hook receives as ``base``."""

    def __init__(self, options: AcousticOptions, device: torch.device, dtype: torch.dtype) -> None:
        self.options, self.device, self.dtype = options, device, dtype

    def new_network(self) -> nn.Module:
        """Return the frozen network.

        It has random weights from a fixed seed, because this engine has no pretrained ones. Load yours here:
        ``network.load_state_dict(vtune.toolkit.read_tensors(path))``.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network = AcousticNetwork(self.options.width)
        return network.to(self.device, self.dtype)

    def fingerprint(self) -> dict[str, str]:
        """Name the parts that a voice needs, each with a hash of its content: here what the weights are made from."""
        return {"network": f"seed 0, width {self.options.width}"}
