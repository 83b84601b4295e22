"""Make the aligner of the voice heart that comes with vtune: ``python tools/hibari/aligner.py FILE [STEPS]``.

It takes about a quarter of an hour of one processor for 2,400 steps. The file holds the weights in half precision,
which moves a score of the classifier by less than 0.01.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import torch

from vtune_hibari.alignment.distillation import Distillation, distil, save_classifier
from vtune_hibari.bases import open_base
from vtune_hibari.network.voice import new_network

STEPS = 2_400


def main() -> None:
    """Let the voice heart speak, teach a classifier with it, and write the classifier."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    path, steps = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else STEPS
    files = open_base("heart")
    network = new_network(files.settings)
    files.load(network)
    hears = distil(network.requires_grad_(False).eval(), Distillation(steps))
    save_classifier(hears, path, files.fingerprint)


if __name__ == "__main__":
    main()
