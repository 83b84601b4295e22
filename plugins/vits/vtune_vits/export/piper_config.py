"""Write what Piper's programs must know beside the graph: the JSON file of a Piper voice."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vtune import VoiceError
from vtune.errors import shown

if TYPE_CHECKING:
    from vtune_vits.bases import BaseText
    from vtune_vits.network.settings import VitsSettings
    from vtune_vits.network.speaking import SpokenStyle

BEGIN, BLANK, END = "^", "_", "$"
"""Piper's names for the mark before a sentence, between its symbols, and after it."""

CONFIG_VERSION = "1.0.0"
"""Version of Piper's file format."""

PHONEME_TYPES = {"espeak": "espeak", "characters": "text"}
"""What Piper calls the kinds of symbols that it can make of a text."""


def piper_config(
    text: BaseText, settings: VitsSettings, style: SpokenStyle, speakers: Mapping[str, int]
) -> dict[str, Any]:
    """Return the content of ``VOICE.onnx.json``.

    :param text: what the voice reads; its language is that of the voice.
    :param style: how the voice speaks if its user does not say otherwise.
    :param speakers: numbers of the speakers by name.
    :raises VoiceError: Piper cannot make the voice's symbols of a text.
    """
    config = {
        "audio": {"sample_rate": settings.sample_rate, "quality": quality(settings)},
        "espeak": {"voice": text.language},
        "language": language_facts(text),
        "inference": {
            "noise_scale": style.noise_scale,
            "length_scale": style.length_scale,
            "noise_w": style.noise_scale_w,
        },
        "phoneme_type": PHONEME_TYPES.get(text.kind, text.kind),
        "phoneme_map": {},
        "phoneme_id_map": symbol_table(text),
        "num_symbols": settings.vocab_size,
        "num_speakers": settings.speakers,
        "speaker_id_map": dict(speakers),
        "hop_length": settings.hop_length,
        "piper_version": CONFIG_VERSION,
    }
    if text.clusters:
        config["vowel_clusters"] = [list(cluster) for cluster in text.clusters]
    return config


def quality(settings: VitsSettings) -> str:
    """Return Piper's name for the size of a network: ``x_low``, ``low``, ``medium`` or ``high``.

    >>> quality(VitsSettings())
    'medium'
    """
    if settings.sample_rate < 22_050:
        return "x_low" if settings.hidden_size < 192 else "low"
    return "high" if settings.vocoder.residual_type == 1 else "medium"


def language_facts(text: BaseText) -> dict[str, str]:
    """Return the language as Piper's files state it: ``de_DE`` is the family ``de`` and the region ``DE``."""
    code = text.locale or _locale(text.language)
    family, _, region = code.partition("_")
    return {"code": code, "family": family, "region": region}


def _locale(language: str) -> str:
    """Return the locale that a voice of espeak-ng names.

    >>> _locale("en-gb-x-rp")
    'en_GB'
    """
    parts = re.fullmatch(r"([a-zA-Z]{2,3})(?:[-_]([a-zA-Z]{2}))?(?:[-_].*)?", language)
    if parts is None:
        return "und"
    return parts[1].lower() + (f"_{parts[2].upper()}" if parts[2] else "")


def symbol_table(text: BaseText) -> dict[str, list[int]]:
    """Return Piper's table from symbols to ids, with which Piper makes the ids that the voice was trained with.

    Piper reads the ids of ``^ _``, then of each symbol and ``_``, then of ``$``. A base of transformers has no marks at
    the ends, so ``^`` and ``$`` have no ids there; a base without blanks has none for ``_``.

    :raises VoiceError: no table does that.
    """
    if text.kind not in PHONEME_TYPES:
        raise VoiceError(
            f"--to piper: the base reads texts in Latin letters ({text.kind}), and Piper does not write other scripts "
            "in Latin letters"
        )
    blank = list(text.blank or ())
    begin = list(text.begin)
    if blank and not (begin or text.blank_first):
        raise VoiceError("--to piper: Piper reads a blank before the first symbol, and the base has none there")
    table = {symbol: list(ids) for symbol, ids in text.symbols.items()}
    for phoneme, symbols in text.replacements.items():
        # Today's Piper replaces no phoneme by others, but one symbol may have many ids.
        ids = [number for symbol in symbols for number in (*table[symbol], *blank)]
        table[phoneme] = ids[: -len(blank) or None]
    if text.kind == "characters":
        table = _for_written_text(table, text)
    return {**table, BLANK: blank, BEGIN: begin, END: list(text.end)}


def _for_written_text(table: dict[str, list[int]], text: BaseText) -> dict[str, list[int]]:
    """Return a table for texts as they are written: Piper decomposes letters and leaves capitals as they are."""
    if not text.decompose:
        composed = next((symbol for symbol in table if unicodedata.normalize("NFD", symbol) != symbol), None)
        if composed is not None:
            raise VoiceError(
                f"--to piper: the base has the letter {shown(composed)}, which Piper takes apart (Unicode NFD) before "
                "it looks letters up, so Piper would leave it out"
            )
    if text.lowercase:
        capitals = {symbol.upper(): ids for symbol, ids in table.items() if len(symbol.upper()) == 1}
        table = {**capitals, **table}
    return table
