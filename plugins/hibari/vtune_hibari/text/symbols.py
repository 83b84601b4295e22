"""The symbols that the network reads, and their numbers.

The table is the one of Kokoro-82M, from which the published voices were distilled. Symbol 0 stands at both ends of a
sentence and has no character.
"""

from __future__ import annotations

from vtune import SkipClip
from vtune.errors import listed

EDGE = 0
"""The number at both ends of a sentence."""

_RUNS = (
    (1, ";:,.!?"),
    (9, '—…"()“” \u0303ʣʥʦʨᵝꭧAI'),
    (31, "O"),
    (33, "Q"),
    (35, "ST"),
    (39, "W"),
    (41, "Yᵊabcdef"),
    (50, "hijklmnopqrstuvwxyzɑɐɒæ"),
    (75, "βɔɕç"),
    (80, "ɖðʤə"),
    (85, "ɚɛɜ"),
    (90, "ɟ"),
    (92, "ɡ"),
    (99, "ɥ"),
    (101, "ɨɪʝ"),
    (110, "ɯɰŋɳɲɴø"),
    (118, "ɸθœ"),
    (123, "ɹ"),
    (125, "ɾɻ"),
    (128, "ʁɽʂʃʈʧ"),
    (135, "ʊʋ"),
    (138, "ʌɣɤ"),
    (142, "χʎ"),
    (147, "ʒʔ"),
    (156, "ˈˌː"),
    (162, "ʰ"),
    (164, "ʲ"),
    (169, "↓"),
    (171, "→↗↘"),
    (177, "ᵻ"),
)
"""Symbols whose numbers follow each other, with the number of the first."""

SYMBOLS = {symbol: first + offset for first, run in _RUNS for offset, symbol in enumerate(run)}
"""Numbers of the symbols."""


def encode_symbols(symbols: str) -> list[int]:
    """Return the numbers of a sentence.

    ``"həlˈO."`` becomes ``[0, 50, 83, 54, 156, 31, 4, 0]``.

    :raises SkipClip: names symbols that have no number, with the group they stand in.
    """
    unknown = sorted({symbol for symbol in symbols if symbol not in SYMBOLS})
    if unknown:
        groups = {
            symbol: next(group for group in symbols.split() if symbol in group) for symbol in unknown if symbol.strip()
        }
        named = [f"{symbol!r} (U+{ord(symbol):04X}) in {groups.get(symbol, symbol)!r}" for symbol in unknown]
        raise SkipClip(
            f"the network has no symbol for {listed(named)}; write the word in other letters, or give it a reading in "
            "engine_options.lexicon"
        )
    return [EDGE, *(SYMBOLS[symbol] for symbol in symbols), EDGE]
