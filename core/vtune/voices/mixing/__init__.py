"""Voices between voices: ``0.7*anna+0.3*ben`` names a mix wherever a voice can be named to speak."""

from vtune.voices.mixing.adapters import mixed_rank
from vtune.voices.mixing.expression import MixTerm, looks_like_mix, mix_text, parse_mix
from vtune.voices.mixing.open import PreparedMix, open_mix, open_named, prepare_mix
from vtune.voices.mixing.parts import MixPart, find_parts, gather

__all__ = [
    "MixPart",
    "MixTerm",
    "PreparedMix",
    "find_parts",
    "gather",
    "looks_like_mix",
    "mix_text",
    "mixed_rank",
    "open_mix",
    "open_named",
    "parse_mix",
    "prepare_mix",
]
