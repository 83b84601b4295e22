"""What a voice keeps beside its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from vtune.errors import VoiceError, shown


@dataclass(frozen=True, slots=True)
class Conditioning:
    """What an engine keeps of a voice beside the adapter; it is written as one safetensors file.

    ``strings`` become the file's metadata, so they hold short texts (a name, JSON), never sound.
    """

    tensors: Mapping[str, np.ndarray] = field(default_factory=dict)
    strings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str, highest: float) -> float:
        """Parse a string as a number from 0 to ``highest``. :raises VoiceError: the string is not such a number."""
        text = self.strings.get(name, "")
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not 0 <= number <= highest:
            raise VoiceError(
                f"the voice's conditioning.safetensors says {name} {shown(text)}, expected 0 to {highest}; "
                "make the voice again"
            )
        return number
