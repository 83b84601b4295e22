"""A machine as a test wants it: everything is in order, but for what the test changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vtune.machine.disk_speed import Space
from vtune.machine.tries import Tried
from vtune.runtime.web_answer import WebAnswer

GIB = 2**30
WHISPER = {"named": "", "named_exists": False, "there": ["tiny.en"], "path": "/cache/whisper/tiny.en.pt"}
CPU_TORCH = {"version": "2.9.0+cpu", "cuda": None, "gpus": 0, "mps": False, "mps_built": False, "xpu": False}
T4 = {
    "version": "2.9.0", "cuda": "12.8", "gpus": 1, "gpu": "Tesla T4", "capability": [7, 5], "bf16": False,
    "architectures": ["sm_75", "sm_80", "sm_90"], "gpu_free": 15 * GIB, "gpu_total": 15 * GIB,
}  # fmt: skip
REQUIREMENTS = (
    "torch>=2.6", "transformers>=5.20", 'bitsandbytes>=0.45; extra == "qlora"', 'fastapi>=0.115; extra == "serve"',
    'uvicorn>=0.30; extra == "serve"', 'librosa>=0.10; extra == "similarity"',
    'vtune-tts[serve,similarity]; extra == "quickstart"',
)  # fmt: skip
VERSIONS = {
    "torch": "2.9.0+cpu", "transformers": "5.24.0", "bitsandbytes": "0.49", "fastapi": "0.120", "uvicorn": "0.40",
    "av": "16.0", "numpy": "2.3",
    "librosa": "0.11", "distillmos": "0.9.1", "xls-r-sqa": "0.1.0", "vtune-tts": "0.1.0",
}  # fmt: skip


@dataclass
class FakeMachine:
    """A machine with a processor alone.

    :param torch: what the first step tells of torch, beside or instead of ``CPU_TORCH``.
    :param whisper: what the step that looks for weights tells, beside or instead of ``WHISPER``.
    :param broken: the problem of each step that fails.
    :param versions: changed versions; None takes a distribution away.
    """

    torch: Mapping[str, Any] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    whisper: Mapping[str, Any] = field(default_factory=dict)
    room: Space = field(default_factory=lambda: Space(100 * 10**9, 900e6))
    ram: tuple[float, float] = (16.0 * GIB, 12.0 * GIB)
    answer: WebAnswer = field(default_factory=lambda: WebAnswer(200))
    token: str = "hf_secret123"
    system: str = "Linux"
    python: tuple[int, int, int] = (3, 12, 1)
    python_bits: int = 64
    asked: list[tuple[str, str]] = field(default_factory=list)

    def version(self, distribution: str) -> str | None:
        return {**VERSIONS, **self.versions}.get(distribution)

    def requirements(self) -> Sequence[str]:
        return REQUIREMENTS

    def output(self, *command: str) -> str | None:
        return self.commands.get(" ".join(command[:2]))

    def tried(self, *names: str) -> Mapping[str, Tried]:
        facts = {"torch": {**CPU_TORCH, **self.torch}, "weights of whisper": {**WHISPER, **self.whisper}}
        return {
            name: Tried(name not in self.broken, 0.01, self.broken.get(name, ""), facts.get(name)) for name in names
        }

    def space(self, folder: Path) -> Space:
        return self.room

    def memory(self) -> tuple[float, float]:
        return self.ram

    def get(self, url: str, token: str = "") -> WebAnswer:
        self.asked.append((url, token))
        return self.answer

    def hub_token(self) -> str:
        return self.token
