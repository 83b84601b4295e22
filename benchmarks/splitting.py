"""Measure how well long recordings are cut, compared with other tools, on the same recordings in one run.

    python benchmarks/recordings.py CLIPS OUT
    python benchmarks/splitting.py OUT [--tools energy vad librosa pydub auditok slicer2 ...]

For each tool and recording: pauses of at least 0.55 s that were found, cuts inside an utterance, clip edges that lie in
voiced speech (30 ms whose level is above the recording's peak less 30 dB, measured on the clean variant), the share of
speech time that ends in clips of 3 to 13 s, and CPU seconds per hour of sound without reading it. Tools that are not
installed are named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from vtune.audio.segmentation.bands import BandMeter, above_noise, band_speech_mask
from vtune.audio.segmentation.edges import clip_spans
from vtune.audio.segmentation.energy import find_stretches
from vtune.audio.segmentation.segments import FRAME_SECONDS, ClipLengths, segment
from vtune.ingest.prepare.analysis import MAX_WORD_GAP_SECONDS

MIN_PAUSE_SECONDS = 0.55
BLOCK = 1 << 16
WANTED = ClipLengths()
Span = tuple[float, float]
"""Start and end in seconds."""

Split = tuple[list[Span], list[Span]]
"""Speech between found pauses, and clips."""


def energy(sound: np.ndarray, rate: int) -> Split:
    """Cut with vtune's default, by level."""
    bands = measured(sound, rate)
    levels = above_noise(bands)
    return grouped(band_speech_mask(bands, levels), levels, bands)


def vad(sound: np.ndarray, rate: int) -> Split:
    """Cut with vtune and Silero's detector."""
    from vtune.audio.segmentation.vad import VoiceMeter, with_faint_ends

    voices = VoiceMeter(rate)
    for start in range(0, len(sound), BLOCK):
        voices.add(sound[start : start + BLOCK])
    bands = measured(sound, rate)
    levels = above_noise(bands)
    return grouped(with_faint_ends(voices.frames(len(levels)), band_speech_mask(bands, levels)), levels, bands)


def measured(sound: np.ndarray, rate: int) -> np.ndarray:
    """Compute the power of the bands, block by block."""
    meter = BandMeter(rate)
    for start in range(0, len(sound), BLOCK):
        meter.add(sound[start : start + BLOCK, None])
    return meter.bands()


def grouped(mask: np.ndarray, levels: np.ndarray, bands: np.ndarray) -> Split:
    """Turn a mask of speech into clips, as ``prepare`` cuts them."""
    spoken = [(start * FRAME_SECONDS, end * FRAME_SECONDS) for start, end in find_stretches(mask, WANTED.pause_seconds)]
    found = segment(find_stretches(mask, MAX_WORD_GAP_SECONDS), levels, WANTED)
    spans = clip_spans(found, bands.sum(axis=1), WANTED)
    return spoken, [(one[0][0] * FRAME_SECONDS, one[-1][1] * FRAME_SECONDS) for one in spans]


def alike(spans: Iterable[Span]) -> Split:
    """Return speech and clips for tools whose clips lie between pauses."""
    found = list(spans)
    return found, found


def fixed(sound: np.ndarray, rate: int) -> Split:
    """Cut where windows of 50 ms are below -40 dBFS for 500 ms."""
    size = rate // 20
    power = np.mean(np.square(sound[: len(sound) // size * size].reshape(-1, size)), axis=1)
    mask = np.repeat(10 * np.log10(power + 1e-12) > -40, 5)
    return alike((start * FRAME_SECONDS, end * FRAME_SECONDS) for start, end in find_stretches(mask, 0.5))


def by_librosa(sound: np.ndarray, rate: int) -> Split:
    """Cut with librosa.effects.split at 40 dB below the peak."""
    import librosa

    return alike((start / rate, end / rate) for start, end in librosa.effects.split(sound, top_db=40))


def by_pydub(sound: np.ndarray, rate: int) -> Split:
    """Cut with pydub's detect_nonsilent at -40 dBFS, steps of 10 ms."""
    from pydub import AudioSegment
    from pydub.silence import detect_nonsilent

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    whole = AudioSegment(data, frame_rate=rate, sample_width=2, channels=1)
    return alike((a / 1000, b / 1000) for a, b in detect_nonsilent(whole, 500, -40, 10))


def by_auditok(sound: np.ndarray, rate: int) -> Split:
    """Cut with auditok at its default threshold."""
    import auditok

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    found = auditok.split(
        data, sampling_rate=rate, sample_width=2, channels=1, min_dur=0.1, max_dur=1e6, max_silence=0.5
    )
    return alike((region.start, region.end) for region in found)


def by_slicer2(sound: np.ndarray, rate: int) -> Split:
    """Cut with slicer2 (pip install --no-deps audio-slicer) and the settings of GPT-SoVITS."""
    from src.slicer2 import Slicer  # its distribution is called audio-slicer

    class Places(Slicer):  # type: ignore[misc] # it gives sound, and not where it lies
        def _apply_slice(self, waveform: np.ndarray, begin: int, end: int) -> Span:
            return begin * self.hop_size / rate, min(len(waveform), end * self.hop_size) / rate

    found = Places(rate, -34, 4000, 300, 10, 500).slice(sound)
    # Of sound without a pause it gives the sound itself.
    return alike(one if isinstance(one, tuple) else (0.0, len(sound) / rate) for one in found)


def by_ffmpeg(sound: np.ndarray, rate: int) -> Split:
    """Cut with ffmpeg's silencedetect at -40 dB for 0.5 s; its CPU time includes its start."""
    import imageio_ffmpeg

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "-",
        "-af", "silencedetect=noise=-40dB:d=0.5", "-f", "null", "-",
    ]  # fmt: skip
    said = subprocess.run(command, input=data, capture_output=True, check=True).stderr.decode()
    starts = [float(number) for number in re.findall(r"silence_start: ([-\d.]+)", said)]
    ends = [float(number) for number in re.findall(r"silence_end: ([-\d.]+)", said)]
    edges = list(zip([0.0, *ends], [*starts, len(sound) / rate], strict=False))
    return alike((start, end) for start, end in edges if end - start > 0.05)


TOOLS: dict[str, Callable[[np.ndarray, int], Split]] = {
    "energy": energy,
    "vad": vad,
    "fixed -40 dB": fixed,
    "librosa": by_librosa,
    "pydub": by_pydub,
    "auditok": by_auditok,
    "slicer2": by_slicer2,
    "ffmpeg": by_ffmpeg,
}


def main() -> None:
    """Print a row for each recording and tool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--recordings", nargs="*")
    asked = parser.parse_args()
    print("| recording | tool | gaps | cuts inside | edges in speech | clips | speech in 3-13 s | CPU s/h |")
    print("|---|---|---|---|---|---|---|---|")
    for path in sorted(asked.folder.glob("*.wav")):
        if asked.recordings and path.stem not in asked.recordings:
            continue
        sound, rate = soundfile.read(path, dtype="float32")
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        clean = path if path.stem == "music" else path.with_name("clean.wav")
        loud = voiced(*soundfile.read(clean, dtype="float32"))
        for tool in asked.tools:
            try:
                began = cpu()
                spoken, clips = TOOLS[tool](sound, rate)
                took = cpu() - began
            except ImportError as error:
                print(f"| {path.stem} | {tool} | not installed: {error.name} | | | | | |")
                continue
            print(
                f"| {path.stem} | {tool} | {row(truth, spoken, clips, loud)} | {took * 3600 * rate / len(sound):.2f} |"
            )


def cpu() -> float:
    """Return the CPU seconds of this process and of its finished children."""
    return sum(os.times()[:4])


def row(truth: Any, spoken: list[Span], clips: list[Span], loud: np.ndarray) -> str:
    """Compare the cuts with the true times."""
    utterances: list[Span] = [tuple(pair) for pair in truth["utterances"]]
    pauses = [(before[1], after[0]) for before, after in pairwise(spoken)]
    gaps = [(a[1], b[0]) for a, b in pairwise(utterances) if b[0] - a[1] >= MIN_PAUSE_SECONDS]
    found = sum(any(min(b, end) - max(a, start) > 0.2 for a, b in pauses) for start, end in gaps)
    inside = sum(any(start + 0.1 < (a + b) / 2 < end - 0.1 for start, end in utterances) for a, b in pauses)
    chopped = sum(bool(loud[min(int(max(edge, 0) / 0.03), len(loud) - 1)]) for clip in clips for edge in clip)
    # Two seconds more, for pauses that are shortened when a clip is cut.
    usable = [clip for clip in clips if WANTED.min_seconds <= clip[1] - clip[0] <= WANTED.max_seconds + 2]
    kept = sum(overlap(utterances, usable)) / sum(end - start for start, end in utterances)
    share = 100 * found / max(len(gaps), 1)
    return f"{share:.0f} % | {inside} | {chopped} | {len(clips)} | {100 * kept:.1f} %"


def overlap(some: list[Span], others: list[Span]) -> Iterator[float]:
    """Return the seconds that two lists of spans share."""
    for start, end in some:
        yield sum(max(0.0, min(end, b) - max(start, a)) for a, b in others)


def voiced(sound: np.ndarray, rate: int) -> np.ndarray:
    """Return which windows of 30 ms are voiced speech."""
    size = int(0.03 * rate)
    power = np.mean(np.square(sound[: len(sound) // size * size].reshape(-1, size)), axis=1)
    levels = 10 * np.log10(power + 1e-12)
    return np.asarray(levels > np.percentile(levels, 99.9) - 30)


if __name__ == "__main__":
    main()
