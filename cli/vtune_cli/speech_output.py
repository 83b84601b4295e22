"""Write the speech of ``vtune say`` to files or to stdout."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.audio import stream_pcm, synthetic_note, wav_header, write_speech
from vtune.runtime.paths import make_parent
from vtune.toolkit.pauses import is_speakable, pause
from vtune.types import Audio, Ending
from vtune_cli.output import echo

if TYPE_CHECKING:
    from vtune.voices.speech import LoadedVoice


def to_files(voice: LoadedVoice, texts: Sequence[str], out: Path, seed: int, *, untuned: bool, many: bool) -> None:
    """Write one sound file a text, and say how long each is and how it ended.

    :raises VoiceError: no format has the ending of ``out``.
    """
    make_parent(out / "001.wav" if many else out)
    for number, text in enumerate(texts, 1):
        path = out / f"{number:03d}.wav" if many else out
        started = time.monotonic()
        endings: Counter[str] = Counter()
        pieces = _counted(_said(voice, text, seed, untuned=untuned), endings)
        seconds = write_speech(path, pieces, voice.sample_rate, synthetic_note(voice.record.name))
        took = time.monotonic() - started
        echo(f"{path}: {seconds:.2f} s in {took:.1f} s{_warn(endings)}")


def to_stdout(voice: LoadedVoice, texts: Sequence[str], seed: int, *, untuned: bool, raw: bool) -> None:
    """Stream to stdout, as WAV or as raw samples."""
    stdout = sys.stdout.buffer
    endings: Counter[str] = Counter()
    try:
        if not raw:
            stdout.write(wav_header(voice.sample_rate, synthetic_note(voice.record.name)))
        for text in texts:
            stream_pcm(stdout, _counted(_said(voice, text, seed, untuned=untuned), endings))
    except BrokenPipeError:
        raise SystemExit(0) from None  # the reader has gone, which is no error
    if _warn(endings):
        echo(_warn(endings).removeprefix("; "), err=True)


def _said(voice: LoadedVoice, text: str, seed: int, *, untuned: bool) -> Iterator[Audio]:
    """Speak one line of several; one that cannot be read out is a pause."""
    return voice.stream(text, seed, untuned=untuned) if is_speakable(text) else iter([pause(voice.sample_rate)])


def _counted(pieces: Iterator[Audio], endings: Counter[str]) -> Iterator[Audio]:
    for piece in pieces:
        if piece.ending is not None:
            endings[piece.ending] += 1
        yield piece


def _warn(endings: Counter[str]) -> str:
    bad = {ending: count for ending, count in endings.items() if ending != Ending.END_TOKEN}
    told = ", ".join(
        f"{count} of {sum(endings.values())} utterances ended by {ending}" for ending, count in bad.items()
    )
    return f"; {told}" if told else ""
