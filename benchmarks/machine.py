"""Describe the machine and the versions that a benchmark was measured with."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import peft
import torch
import transformers


def machine(device: str, threads: int, **asked: Any) -> dict[str, Any]:
    """Return the hardware, its load, the versions of the measured packages, and further facts."""
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": names[0] if names else platform.processor(),
        "gpu": torch.cuda.get_device_name() if device == "cuda" else None,
        "cores": os.cpu_count(),
        "threads": threads,
        "load": os.getloadavg(),
        "python": platform.python_version(),
        **asked,
        **{module.__name__: module.__version__ for module in (torch, transformers, peft, np)},
    }


def in_a_line(record: Mapping[str, Any]) -> str:
    """Describe in one line what ``machine`` returned."""
    return ", ".join(f"{name} {value}" for name, value in record.items() if value is not None)
