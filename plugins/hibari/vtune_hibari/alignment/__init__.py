"""Find when each symbol of a text is spoken in a recording."""

from vtune_hibari.alignment.aligner import Aligner, Alignment

__all__ = ["Aligner", "Alignment"]
