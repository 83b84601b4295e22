"""Symbols of a sentence to the ids of a base, and which ids belong to which symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtune import SkipClip
from vtune.errors import listed

if TYPE_CHECKING:
    from vtune_vits.bases import BaseText


@dataclass(frozen=True, slots=True)
class SymbolIds:
    """The ids that the text encoder reads, and where they come from.

    :param ids: with the base's marks of beginning and end, and its blanks.
    :param owners: for each id the position of its character in the symbols, -1 for beginning and end. A blank belongs
        to the symbol before it.
    """

    ids: list[int]
    owners: list[int]


def encode_symbols(symbols: str, text: BaseText) -> SymbolIds:
    """Return the ids of a sentence.

    With Piper's table, ``"ab"`` becomes the ids of ``^ _ a _ b _ $``: ``[1, 0, 14, 0, 15, 0, 2]``.

    :raises SkipClip: names symbols that the base has no ids for, with the words they stand in.
    """
    units = _units(symbols, text)
    unknown = {unit: start for unit, start in reversed(units) if unit not in text.symbols}
    if unknown:
        raise SkipClip(unknown_symbols_message(symbols, unknown))
    blank = list(text.blank or ())
    ids, owners = list(text.begin), [-1] * len(text.begin)
    if text.begin or text.blank_first:
        ids, owners = ids + blank, owners + [-1] * len(blank)
    for unit, start in units:
        own = [*text.symbols[unit], *blank]
        ids, owners = ids + own, owners + [start] * len(own)
    return SymbolIds([*ids, *text.end], [*owners, *[-1] * len(text.end)])


def unknown_symbols_message(symbols: str, unknown: Mapping[str, int]) -> str:
    """Return one line that names unknown symbols and the group in which each stands first.

    :param unknown: position of the first of each.
    """
    named = [
        f"{unit!r} (U+{ord(unit[0]):04X}) in {_group_at(symbols, start)!r}" for unit, start in sorted(unknown.items())
    ]
    advice = "write numbers and signs as words, or give the word another reading in engine_options.lexicon"
    return f"the base has no symbol for {listed(named)}; {advice}"


def _group_at(symbols: str, position: int) -> str:
    start = symbols.rfind(" ", 0, position) + 1
    end = symbols.find(" ", position)
    return symbols[start : end if end >= 0 else len(symbols)]


def _units(symbols: str, text: BaseText) -> list[tuple[str, int]]:
    """Return the symbols with their positions; characters that form a cluster of the base are one symbol."""
    joined = sorted({"".join(cluster) for cluster in text.clusters}, key=len, reverse=True)
    units: list[tuple[str, int]] = []
    position = 0
    while position < len(symbols):
        unit = next((cluster for cluster in joined if symbols.startswith(cluster, position)), symbols[position])
        units += [(symbol, position) for symbol in text.replacements.get(unit, (unit,))]
        position += len(unit)
    return units
