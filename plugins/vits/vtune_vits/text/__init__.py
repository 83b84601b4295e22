"""Turn texts into the symbols that a VITS network reads: phonemes of espeak-ng, characters, or Latin letters."""
