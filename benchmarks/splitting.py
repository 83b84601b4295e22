"""Measure how well long recordings are cut, compared with other tools, on the same recordings in one run.

    python benchmarks/recordings.py CLIPS OUT
    python benchmarks/splitting.py OUT [--tools auto vad level silero pydub auditok ...] [--recordings clean hum ...]

Each tool runs in a process of its own. For each tool and recording: pauses of at least 0.55 s that were found; edges of
clips that lie in voiced speech, and how many of these the tool flags (30 ms of a true utterance whose level, in the
recording without noise, is above the speech's peak less 30 dB); clips with less than 0.1 s of speech; the share of the
speech that is in clips of 1 to 15 s; the share of the clips' time that is speech; CPU seconds per hour of sound; the
peak memory of the process so far. vtune reads the file itself; the other tools get the whole sound, and reading it does
not count. Tools that are not installed are named and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile

from vtune.audio.segmentation.energy import find_stretches
from vtune.audio.segmentation.segments import FRAME_SECONDS
from vtune.ingest.prepare import CutSettings
from vtune.ingest.prepare.analysis import analyse_recording
from vtune.ingest.prepare.recording import plan_cuts
from vtune.recipe import PrepareRecipe

MIN_PAUSE_SECONDS = 0.55
WINDOW_SECONDS = 0.03
VOICED_DEPTH_DB = 30
Span = tuple[float, float]
"""Start and end in seconds."""


@dataclass(frozen=True)
class Split:
    """What a tool found: speech between pauses, clips as the spans that each keeps, and which clips are flagged."""

    speech: list[Span]
    clips: list[list[Span]]
    flagged: list[bool] = field(default_factory=list)


Tool = Callable[[Path], Callable[[], Split]]
"""Takes a recording, and returns the function whose time is measured."""


def by_vtune(vad: bool | str) -> Tool:
    """Cut as ``vtune prepare`` does."""

    def cut(path: Path) -> Split:
        settings = CutSettings.from_recipe(PrepareRecipe(vad=vad), 24_000)
        analysis = analyse_recording(path, settings)
        frame = analysis.hop / analysis.rate
        spans, cuts = plan_cuts(analysis, settings)
        kept = [(spans_of, cut) for spans_of, cut in zip(spans, cuts, strict=True) if cut.reason is None]
        stretches = find_stretches(analysis.mask, settings.lengths.pause_seconds)
        return Split(
            [(start * frame, end * frame) for start, end in stretches],
            [[(start * frame, end * frame) for start, end in spans_of] for spans_of, _ in kept],
            [cut.doubt is not None for _, cut in kept],
        )

    return lambda path: lambda: cut(path)


def by_spans(find: Callable[[np.ndarray, int], Iterable[Span]]) -> Tool:
    """Return a tool whose clips lie between pauses."""

    def cut(sound: np.ndarray, rate: int) -> Split:
        spans = list(find(sound, rate))
        return Split(spans, [[span] for span in spans])

    def read(path: Path) -> Callable[[], Split]:
        sound, rate = soundfile.read(path, dtype="float32")
        return lambda: cut(sound, rate)

    return read


def by_silero(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with Silero's own timestamps, for pauses of 500 ms."""
    import soxr
    import torch
    from silero_vad import get_speech_timestamps, load_silero_vad

    narrow = torch.from_numpy(soxr.resample(sound, rate, 16_000))
    spans = get_speech_timestamps(narrow, load_silero_vad(), min_silence_duration_ms=500)
    return ((span["start"] / 16_000, span["end"] / 16_000) for span in spans)


def by_webrtcvad(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut where WebRTC's detector (mode 1, 30 ms) finds no speech for 500 ms."""
    import soxr
    import webrtcvad

    detector, size = webrtcvad.Vad(1), 480
    narrow = (np.clip(soxr.resample(sound, rate, 16_000), -1, 1) * 32767).astype(np.int16)
    frames = narrow[: len(narrow) // size * size].reshape(-1, size)
    mask = np.repeat([detector.is_speech(frame.tobytes(), 16_000) for frame in frames], 3)
    return ((start * FRAME_SECONDS, end * FRAME_SECONDS) for start, end in find_stretches(mask, 0.5))


def by_fixed_level(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut where windows of 50 ms are below -40 dBFS for 500 ms."""
    size = rate // 20
    power = np.mean(np.square(sound[: len(sound) // size * size].reshape(-1, size)), axis=1)
    mask = np.repeat(10 * np.log10(power + 1e-12) > -40, 5)
    return ((start * FRAME_SECONDS, end * FRAME_SECONDS) for start, end in find_stretches(mask, 0.5))


def by_librosa(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with librosa.effects.split at 40 dB below the peak."""
    import librosa

    return ((start / rate, end / rate) for start, end in librosa.effects.split(sound, top_db=40))


def by_pydub(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with pydub's detect_nonsilent at -40 dBFS, steps of 10 ms."""
    from pydub import AudioSegment
    from pydub.silence import detect_nonsilent

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    segment = AudioSegment(data, frame_rate=rate, sample_width=2, channels=1)
    return ((a / 1000, b / 1000) for a, b in detect_nonsilent(segment, 500, -40, 10))


def by_auditok(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with auditok at its default threshold."""
    import auditok

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    regions = auditok.split(
        data, sampling_rate=rate, sample_width=2, channels=1, min_dur=0.1, max_dur=1e6, max_silence=0.5
    )
    return ((region.start, region.end) for region in regions)


def by_slicer2(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with slicer2 (pip install --no-deps audio-slicer) and the settings of GPT-SoVITS."""
    from src.slicer2 import Slicer  # its distribution is called audio-slicer

    class Places(Slicer):  # type: ignore[misc] # it gives sound, and not where it lies
        def _apply_slice(self, waveform: np.ndarray, begin: int, end: int) -> Span:
            return begin * self.hop_size / rate, min(len(waveform), end * self.hop_size) / rate

    spans = Places(rate, -34, 4000, 300, 10, 500).slice(sound)
    # Of sound without a pause it gives the sound itself.
    return [span if isinstance(span, tuple) else (0.0, len(sound) / rate) for span in spans]


def by_ffmpeg(sound: np.ndarray, rate: int) -> Iterable[Span]:
    """Cut with ffmpeg's silencedetect at -40 dB for 0.5 s; its CPU time includes its start."""
    import imageio_ffmpeg

    data = (np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes()
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-f", "s16le", "-ar", str(rate), "-ac", "1", "-i", "-",
        "-af", "silencedetect=noise=-40dB:d=0.5", "-f", "null", "-",
    ]  # fmt: skip
    messages = subprocess.run(command, input=data, capture_output=True, check=True).stderr.decode()
    starts = [float(number) for number in re.findall(r"silence_start: ([-\d.]+)", messages)]
    ends = [float(number) for number in re.findall(r"silence_end: ([-\d.]+)", messages)]
    edges = list(zip([0.0, *ends], [*starts, len(sound) / rate], strict=False))
    return ((start, end) for start, end in edges if end - start > 0.05)


TOOLS: dict[str, Tool] = {
    "auto": by_vtune("auto"),
    "vad": by_vtune(True),
    "level": by_vtune(False),
    "silero": by_spans(by_silero),
    "webrtcvad": by_spans(by_webrtcvad),
    "pydub": by_spans(by_pydub),
    "auditok": by_spans(by_auditok),
    "librosa": by_spans(by_librosa),
    "slicer2": by_spans(by_slicer2),
    "fixed -40 dB": by_spans(by_fixed_level),
    "ffmpeg": by_spans(by_ffmpeg),
}
"""The first three are vtune: its default, and the network for every recording or for none."""


def main() -> None:
    """Print a row for each tool and recording."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tools", nargs="*", default=list(TOOLS), choices=list(TOOLS))
    parser.add_argument("--recordings", nargs="*", default=[])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        measure(arguments.folder, arguments.tools[0], arguments.recordings)
        return
    print("| tool | recording | pauses | edges in speech (flagged) | clips | without speech | in clips | purity "
          "| CPU s/h | MB |\n|---|---|---|---|---|---|---|---|---|---|", flush=True)  # fmt: skip
    for tool in arguments.tools:
        names = ["--recordings", *arguments.recordings] if arguments.recordings else []
        subprocess.run(
            [sys.executable, __file__, str(arguments.folder), "--child", "--tools", tool, *names], check=True
        )


def measure(folder: Path, tool: str, names: Sequence[str]) -> None:
    """Print the rows of one tool."""
    for path in sorted(folder.glob("*.wav")):
        if names and path.stem not in names:
            continue
        truth = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        utterances: list[Span] = [tuple(pair) for pair in truth["utterances"]]
        voiced = voiced_windows(path.with_name(f"{truth['clean']}.wav"), utterances)
        try:
            cut = TOOLS[tool](path)
            began = sum(os.times()[:4])
            split = cut()
            seconds = sum(os.times()[:4]) - began
        except ImportError as error:
            print(f"| {tool} | not installed: {error.name} | | | | | | | | |", flush=True)
            return
        hours = soundfile.info(path).duration / 3600
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {tool} | {path.stem} | {row(utterances, split, voiced)} | {seconds / hours:.1f} | {memory:.0f} |",
              flush=True)  # fmt: skip


def row(utterances: list[Span], split: Split, voiced: np.ndarray) -> str:
    """Compare the cuts with the true times."""
    pauses = [(before[1], after[0]) for before, after in pairwise(split.speech)]
    gaps = [(a[1], b[0]) for a, b in pairwise(utterances) if b[0] - a[1] >= MIN_PAUSE_SECONDS]
    matched = sum(any(min(b, end) - max(a, start) > 0.2 for a, b in pauses) for start, end in gaps)
    windows = len(voiced) - 1
    chopped = [
        index
        for index, clip in enumerate(split.clips)
        for edge in (edge for span in clip for edge in span)
        if voiced[min(int(max(edge, 0) / WINDOW_SECONDS), windows)]
    ]
    flagged = sum(split.flagged[index] for index in chopped if split.flagged)
    spoken = [overlap(utterances, clip) for clip in split.clips]
    lengths = [sum(end - start for start, end in clip) for clip in split.clips]
    usable = sum(speech for speech, length in zip(spoken, lengths, strict=True) if 1 <= length <= 15)
    share = 100 * usable / sum(end - start for start, end in utterances)
    silent = sum(speech < 0.1 for speech in spoken)
    purity = 100 * sum(spoken) / max(sum(lengths), 1e-9)
    pauses_found = 100 * matched / max(len(gaps), 1)
    return (
        f"{pauses_found:.0f} % | {len(chopped)} ({flagged}) | {len(spoken)} | {silent} | {share:.1f} % | {purity:.0f} %"
    )


def overlap(some: list[Span], others: list[Span]) -> float:
    """Return the seconds that two lists of spans share."""
    return sum(max(0.0, min(end, b) - max(start, a)) for start, end in some for a, b in others)


def voiced_windows(path: Path, utterances: list[Span]) -> np.ndarray:
    """Return which windows of 30 ms of a recording without noise are voiced speech."""
    size = int(WINDOW_SECONDS * soundfile.info(path).samplerate)
    blocks = soundfile.blocks(path, 1000 * size, dtype="float32")  # so that it adds nothing to the memory of a tool
    power = [np.mean(np.square(block[: len(block) // size * size].reshape(-1, size)), axis=1) for block in blocks]
    levels = 10 * np.log10(np.concatenate(power) + 1e-12)
    inside = np.zeros(len(levels), dtype=bool)
    for start, end in utterances:
        inside[int(start / WINDOW_SECONDS) : int(end / WINDOW_SECONDS) + 1] = True
    return np.asarray(inside & (levels > np.percentile(levels, 99.9) - VOICED_DEPTH_DB))


if __name__ == "__main__":
    main()
