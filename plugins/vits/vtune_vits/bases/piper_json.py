"""The JSON beside a Piper voice: how it reads text, its sample rate, its speakers, its defaults of speaking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vtune.errors import shown
from vtune.runtime.untrusted import FileRefused, read_json_object, read_text
from vtune_vits.bases.base_files import BaseText
from vtune_vits.network.settings import MAX_VOCABULARY, VitsSettings

BEGIN, BLANK, END = "^", "_", "$"
"""Piper's symbols for the beginning of a text, between phonemes, and for its end."""

KINDS: dict[str, Literal["espeak", "characters"]] = {"espeak": "espeak", "text": "characters"}
"""Kinds of Piper's ``phoneme_type`` that vtune reads; others need a phonemiser of one language."""

FFT_HOPS = 4
"""Windows of the spectrogram have the length of four hops in every voice of Piper."""


@dataclass(frozen=True)
class PiperJson:
    """What the JSON says."""

    path: Path
    text: BaseText
    symbol_count: int
    speaker_count: int
    sample_rate: int
    hop_length: int | None
    """None if the JSON does not name it."""

    noise_scale: float
    noise_scale_w: float
    length_scale: float

    def complete(self, settings: VitsSettings) -> VitsSettings:
        """Return the settings of the weights, completed by what only the JSON knows.

        :raises FileRefused: the JSON belongs to other weights, or holds an impossible number.
        """
        facts = (
            ("symbols", self.symbol_count, settings.vocab_size),
            ("speakers", self.speaker_count, settings.speakers),
            ("samples a frame", self.hop_length or settings.hop_length, settings.hop_length),
        )
        for name, said, held in facts:
            if said != held:
                raise FileRefused(
                    self.path, f"it tells of {said} {name} and the weights have {held}; it belongs to another voice"
                )
        completed = replace(
            settings,
            sample_rate=self.sample_rate,
            noise_scale=self.noise_scale,
            noise_scale_w=self.noise_scale_w,
            length_scale=self.length_scale,
        )
        completed.check(str(self.path))
        return completed


def find_json(weights: Path, *further: str) -> Path:
    """Return the JSON of a voice: ``voice.onnx.json``, ``voice.json``, or a further name in the same folder.

    :raises FileRefused: none of them exists.
    """
    names = (f"{weights.name}.json", f"{weights.stem}.json", *further)
    for name in names:
        if (path := weights.with_name(name)).exists():
            return path
    raise FileRefused(weights, f"a Piper voice needs its JSON beside it, and none of {', '.join(names)} is there")


def read_piper_json(path: Path) -> PiperJson:
    """Read the JSON of a Piper voice.

    :raises FileRefused: it is not such a JSON; names the entry, what was found and what is expected.
    """
    return _Reader(path, read_json_object(path)).read()


def read_licence(folder: Path) -> str:
    """Return the licence that a voice's card names (``MODEL_CARD`` or ``README.md``); empty if none is named."""
    for name in ("MODEL_CARD", "README.md"):
        path = folder / name
        if path.is_file():
            try:
                line = re.search(r"^\W*licen[sc]e\W*?:\s*(.+)$", read_text(path), re.IGNORECASE | re.MULTILINE)
            except FileRefused:
                continue
            if line:
                return line[1].strip()[:200]
    return ""


class _Reader:
    """Checks the type of each entry."""

    def __init__(self, path: Path, content: Mapping[str, Any]) -> None:
        self.path, self.content = path, content

    def read(self) -> PiperJson:
        inference = self._object("inference", required=False)
        audio = self._object("audio")
        symbol_count = self._whole(self.content.get("num_symbols"), "num_symbols", MAX_VOCABULARY)
        speaker_count = self._whole(self.content.get("num_speakers", 1), "num_speakers", MAX_VOCABULARY)
        hop = self.content.get("hop_length")
        return PiperJson(
            path=self.path,
            text=self._text(symbol_count, speaker_count),
            symbol_count=symbol_count,
            speaker_count=speaker_count,
            sample_rate=self._whole(audio.get("sample_rate"), "audio.sample_rate", 192_000),
            hop_length=None if hop is None else self._whole(hop, "hop_length", 4096),
            noise_scale=self._number(inference, "noise_scale", 0.667),
            noise_scale_w=self._number(inference, "noise_w", 0.8),
            length_scale=self._number(inference, "length_scale", 1.0),
        )

    def _text(self, symbol_count: int, speaker_count: int) -> BaseText:
        kind = self.content.get("phoneme_type", "espeak")
        if not isinstance(kind, str) or kind not in KINDS:
            raise self._refused("phoneme_type", kind, f"{' or '.join(KINDS)}; vtune has no phonemiser for others")
        table = self._object("phoneme_id_map")
        symbols = {symbol: self._ids(symbol, ids, symbol_count) for symbol, ids in table.items()}
        if missing := [symbol for symbol in (BEGIN, BLANK, END) if symbol not in symbols]:
            raise self._refused("phoneme_id_map", sorted(symbols)[:5], f"an entry for {' and '.join(missing)}")
        espeak = self._object("espeak", required=kind == "espeak")
        voice = espeak.get("voice", "")
        if not isinstance(voice, str) or (kind == "espeak" and not re.fullmatch(r"[\w+-]{1,40}", voice)):
            raise self._refused("espeak.voice", voice, "the name of a voice of espeak-ng, such as en-us")
        default_speaker = self._whole(self.content.get("default_speaker_id", 0), "default_speaker_id", speaker_count, 0)
        return BaseText(
            kind=KINDS[kind],
            symbols=symbols,
            language=voice,
            locale=self._locale(),
            begin=symbols[BEGIN],
            blank=symbols[BLANK],
            end=symbols[END],
            blank_first=True,
            decompose=KINDS[kind] == "characters",
            clusters=self._clusters(symbols),
            replacements=self._replacements(),
            speakers=self._speakers(speaker_count),
            default_speaker=min(default_speaker, speaker_count - 1),
        )

    def _ids(self, symbol: str, ids: Any, symbol_count: int) -> tuple[int, ...]:
        ids = [ids] if type(ids) is int else ids
        may_be_empty = symbol in (BEGIN, BLANK, END)
        if not isinstance(ids, list) or not (ids or may_be_empty) or not all(type(number) is int for number in ids):
            raise self._refused(f"phoneme_id_map[{shown(symbol)}]", ids, "a list of whole numbers")
        if any(not 0 <= number < symbol_count for number in ids):
            raise self._refused(f"phoneme_id_map[{shown(symbol)}]", ids, f"numbers from 0 to {symbol_count - 1}")
        return tuple(ids)

    def _locale(self) -> str:
        code = self._object("language", required=False).get("code", "")
        return code if isinstance(code, str) and re.fullmatch(r"[a-z]{2,3}(_[A-Z]{2})?", code) else ""

    def _speakers(self, speaker_count: int) -> dict[str, int]:
        speakers = self._object("speaker_id_map", required=False)
        for name, number in speakers.items():
            if type(number) is not int or not 0 <= number < speaker_count:
                raise self._refused(f"speaker_id_map[{shown(name)}]", number, f"a number below {speaker_count}")
        return dict(speakers)

    def _clusters(self, symbols: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
        clusters = self.content.get("vowel_clusters") or []
        for cluster in clusters if isinstance(clusters, list) else [None]:
            if not isinstance(cluster, list) or not cluster or not all(isinstance(part, str) for part in cluster):
                raise self._refused("vowel_clusters", clusters, "lists of phonemes")
        return tuple(tuple(cluster) for cluster in clusters if "".join(cluster) in symbols)

    def _replacements(self) -> dict[str, tuple[str, ...]]:
        replacements = self._object("phoneme_map", required=False)
        for symbol, phonemes in replacements.items():
            if not isinstance(phonemes, list) or not all(isinstance(phoneme, str) for phoneme in phonemes):
                raise self._refused(f"phoneme_map[{shown(symbol)}]", phonemes, "a list of phonemes")
        return {symbol: tuple(phonemes) for symbol, phonemes in replacements.items()}

    def _object(self, name: str, *, required: bool = True) -> Mapping[str, Any]:
        value = self.content.get(name)
        if value is None and not required:
            return {}
        if not isinstance(value, dict):
            raise self._refused(name, value, "an object, as in every JSON of a Piper voice")
        return value

    def _whole(self, value: Any, name: str, maximum: int, minimum: int = 1) -> int:
        if type(value) is not int or not minimum <= value <= maximum:
            raise self._refused(name, value, f"a whole number from {minimum} to {maximum:,}")
        return value

    def _number(self, inference: Mapping[str, Any], name: str, default: float) -> float:
        value = inference.get(name, default)
        if type(value) not in (int, float) or not 0 <= value <= 100:
            raise self._refused(f"inference.{name}", value, "a number from 0 to 100")
        return float(value)

    def _refused(self, name: str, value: Any, expected: str) -> FileRefused:
        return FileRefused(self.path, f"{name} is {shown(value)}, expected {expected}")
