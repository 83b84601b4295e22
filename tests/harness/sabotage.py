"""Engines that are broken on purpose: each is the toy engine with one mistake that an author may make.

The files in ``sabotage_engines/`` have one section for each: its name, the one rule of the conformance kit that must
fail, words that the rule's paragraph must have, and the code that takes the place of the toy engine's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEADER = """
import copy, dataclasses, functools, os, random, sys, time, warnings
from pathlib import Path
import numpy as np
import torch
from torch import nn
import vtune
import vtune_toy
from vtune_toy import (
    build_lora_model, collate, engine_info, extract_conditioning, fingerprint, load_base, prepare_sample, synthesize,
)

"""


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One mistake of an engine."""

    name: str
    rule: str
    says: str
    code: str

    @property
    def engine(self) -> str:
        """The text of the engine's file."""
        return HEADER + self.code


def _sabotages(text: str) -> list[Sabotage]:
    """Read the sections of one file."""
    sections = [section.split("\n", 3) for section in text.removeprefix("=== ").split("\n=== ")]
    return [
        Sabotage(name, rule.removeprefix("rule: "), says.removeprefix("says: "), code)
        for name, rule, says, code in sections
    ]


SABOTAGES = [
    sabotage
    for path in sorted((Path(__file__).parent / "sabotage_engines").glob("*.txt"))
    for sabotage in _sabotages(path.read_text(encoding="utf-8"))
]
