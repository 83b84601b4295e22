"""Recordings as a browser wants them: 16-bit WAV, peaks for a waveform, levels for a spectrogram; kept while in use."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vtune import audio
from vtune.errors import DataError
from vtune.types import Waveform

RATES = (8_000, 48_000)
"""Hz that every browser plays; a recording beyond them is brought to the nearest."""

MOST_SECONDS = 900
MOST_SAMPLES = MOST_SECONDS * 96_000
"""What is longer is not played: clips last seconds, and a file of hours would fill the memory."""

KEPT_BYTES = 192 << 20
PEAKS = 2_000
BANDS, HIGHEST, RANGE = 96, 8_000, 70
"""Bands of a spectrogram (evenly spaced in mel), its upper edge in Hz, its depth in dB."""

T = TypeVar("T")


class Sounds:
    """Reads recordings and keeps the last used ones; safe to ask from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def wav(self, path: Path) -> bytes:
        """Return a recording as mono 16-bit WAV. :raises DataError: it cannot be read, or is too long."""
        return self._get("wav", path, lambda: audio.encoded(*_read(path), "WAV"), len)

    def peaks(self, path: Path) -> dict[str, Any]:
        """Return ``seconds`` and ``peaks``: lowest and highest of up to 2,000 equal parts, each in [-127, 127].

        :raises DataError: it cannot be read, or is too long.
        """
        return self._get("peaks", path, lambda: _peaks(self.wav(path)), lambda found: 64 * len(found["peaks"]))

    def spectrogram(self, path: Path) -> dict[str, Any]:
        """Return ``bands``, ``columns`` and ``levels``: base64 of one byte each, column by column, low bands first.

        :raises DataError: it cannot be read, or is too long.
        """
        return self._get("spectrogram", path, lambda: _spectrogram(self.wav(path)), lambda found: len(found["levels"]))

    def _get(self, kind: str, path: Path, make: Callable[[], T], size: Callable[[T], int]) -> T:
        try:
            stat = path.stat()
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
        key = (kind, str(path), stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                found: T = self._kept[key][0]
                return found
        made = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made, size(made)
                self._bytes += size(made)
            while self._bytes > KEPT_BYTES and len(self._kept) > 1:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed
        return made


def _read(path: Path) -> tuple[Waveform, int]:
    seconds, recorded = audio.seconds_of(path), audio.rate_of(path)
    if seconds > MOST_SECONDS or seconds * recorded > MOST_SAMPLES:
        raise DataError(f"{path} lasts {seconds / 60:.0f} min, too long to review; 'vtune prepare' cuts it into clips")
    rate = min(max(recorded, RATES[0]), RATES[1])
    return audio.read(path, rate), rate


def _samples(wav: bytes) -> tuple[Waveform, int]:
    with audio.opened(io.BytesIO(wav)) as sound:
        return np.concatenate([block[:, 0] for block in sound.blocks()]), sound.rate


def _peaks(wav: bytes) -> dict[str, Any]:
    waveform, rate = _samples(wav)
    edges = np.linspace(0, len(waveform), min(PEAKS, len(waveform)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
    both = np.stack([low, high], axis=1).reshape(-1)
    return {"seconds": len(waveform) / rate, "peaks": np.rint(both * 127).astype(int).tolist()}


def _spectrogram(wav: bytes) -> dict[str, Any]:
    waveform, rate = _samples(wav)
    step = max(audio.window_samples(rate) // 4, -(-len(waveform) // PEAKS))
    top = min(HIGHEST, rate / 2)
    level = audio.mel_levels(waveform, rate, step, BANDS, top)
    shades = np.clip((level - level.max()) / RANGE + 1, 0, 1) * 255
    levels = base64.b64encode(shades.astype(np.uint8).tobytes()).decode()
    return {"bands": BANDS, "columns": len(level), "highest": top, "levels": levels}
