"""Convert recordings for a browser: 16-bit WAV, peaks of a waveform, levels of a spectrogram; with a cache."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from vtune import audio
from vtune.dataset.sources.fragments import clip_rate, clip_seconds, read_clip, recording_path
from vtune.errors import DataError
from vtune.types import Waveform

BROWSER_RATES_HZ = (8_000, 48_000)
"""Lowest and highest sample rate that every browser plays; other recordings are resampled to the nearest of them."""

MAX_RECORDING_SECONDS = 900
MAX_RECORDING_SAMPLES = MAX_RECORDING_SECONDS * 96_000
"""Longer recordings are not played: clips last seconds, and a file of hours would fill the memory."""

MAX_CACHE_BYTES = 192 << 20
"""Largest number of bytes of converted recordings in memory."""

MAX_PEAKS = 2_000
"""Largest number of columns of a waveform or a spectrogram."""

SPECTROGRAM_BANDS, SPECTROGRAM_MAX_HZ, SPECTROGRAM_RANGE_DB = 96, 8_000, 70
"""Bands of a spectrogram (evenly spaced in mel), its highest frequency, and its range of levels."""

T = TypeVar("T")


class BrowserAudio:
    """Converts recordings and caches the most recent results; safe to use from several threads."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[Any, ...], tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def wav(self, name: str) -> bytes:
        """Return a recording as mono 16-bit WAV. :raises DataError: the recording cannot be read, or is too long."""
        return self._get("wav", name, lambda: audio.encoded(*_read(name), "WAV"), len)

    def peaks(self, name: str) -> dict[str, Any]:
        """Return ``seconds`` and ``peaks``: lowest and highest sample of up to 2,000 equal parts, in [-127, 127].

        :raises DataError: the recording cannot be read, or is too long.
        """
        return self._get("peaks", name, lambda: _peaks(self.wav(name)), lambda result: 64 * len(result["peaks"]))

    def spectrogram(self, name: str) -> dict[str, Any]:
        """Return ``bands``, ``columns`` and ``levels`` (base64, one byte per level, by column, low bands first).

        :raises DataError: the recording cannot be read, or is too long.
        """
        return self._get(
            "spectrogram", name, lambda: _spectrogram(self.wav(name)), lambda result: len(result["levels"])
        )

    def _get(self, kind: str, name: str, make: Callable[[], T], size: Callable[[T], int]) -> T:
        try:
            stat = recording_path(name).stat()
        except (OSError, ValueError) as error:
            raise DataError(f"{name} cannot be read: {getattr(error, 'strerror', error)}") from error
        key = (kind, name, stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                cached: T = self._cache[key][0]
                return cached
        result = make()
        with self._lock:
            if key not in self._cache:
                self._cache[key] = result, size(result)
                self._bytes += size(result)
            while self._bytes > MAX_CACHE_BYTES and len(self._cache) > 1:
                _, (_, freed) = self._cache.popitem(last=False)
                self._bytes -= freed
        return result


def _read(name: str) -> tuple[Waveform, int]:
    seconds, recorded = clip_seconds(name), clip_rate(name)
    if seconds > MAX_RECORDING_SECONDS or seconds * recorded > MAX_RECORDING_SAMPLES:
        raise DataError(
            f"{name} has {seconds / 60:.0f} min, which is too long to review; cut it into clips with vtune prepare"
        )
    rate = min(max(recorded, BROWSER_RATES_HZ[0]), BROWSER_RATES_HZ[1])
    return read_clip(name, rate)


def _samples(wav: bytes) -> tuple[Waveform, int]:
    with audio.opened(io.BytesIO(wav)) as sound:
        return np.concatenate([block[:, 0] for block in sound.blocks()]), sound.rate


def _peaks(wav: bytes) -> dict[str, Any]:
    waveform, rate = _samples(wav)
    edges = np.linspace(0, len(waveform), min(MAX_PEAKS, len(waveform)) + 1).astype(int)[:-1]
    low, high = np.minimum.reduceat(waveform, edges), np.maximum.reduceat(waveform, edges)
    extremes = np.stack([low, high], axis=1).reshape(-1)
    return {"seconds": len(waveform) / rate, "peaks": np.rint(extremes * 127).astype(int).tolist()}


def _spectrogram(wav: bytes) -> dict[str, Any]:
    waveform, rate = _samples(wav)
    step = max(audio.window_samples(rate) // 4, -(-len(waveform) // MAX_PEAKS))
    top = min(SPECTROGRAM_MAX_HZ, rate / 2)
    level = audio.mel_levels(waveform, rate, step, SPECTROGRAM_BANDS, top)
    shades = np.clip((level - level.max()) / SPECTROGRAM_RANGE_DB + 1, 0, 1) * 255
    levels = base64.b64encode(shades.astype(np.uint8).tobytes()).decode()
    return {"bands": SPECTROGRAM_BANDS, "columns": len(level), "highest": top, "levels": levels}
