"""Write the speech of ``vtune say`` to files or to stdout."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vtune.audio import stream_pcm, synthetic_note, wav_header, write_speech
from vtune.engines import audio_format_of
from vtune.errors import VoiceError
from vtune.runtime.paths import make_parent, write_json
from vtune.toolkit.pauses import is_speakable, pause
from vtune.types import Audio, Ending, WordTime
from vtune_cli.output import echo

if TYPE_CHECKING:
    from vtune.voices.speech import LoadedVoice


@dataclass(frozen=True, slots=True)
class FileRequest:
    """Texts that are spoken into files.

    :param out: the sound file, or, for ``many`` texts, the folder of ``001.wav``, ``002.wav``, ...
    :param word_times: write the times of the words beside each sound file.
    """

    texts: Sequence[str]
    out: Path
    seed: int
    untuned: bool
    many: bool
    word_times: bool


def to_files(voice: LoadedVoice, request: FileRequest) -> None:
    """Write one sound file a text, and say how long each is and how it ended.

    :raises VoiceError: no format has the ending of ``out``, or the engine knows no word times.
    """
    for number, text in enumerate(request.texts, 1):
        path = request.out / f"{number:03d}.wav" if request.many else request.out
        words: list[WordTime] = []
        write_sound(voice, _timed(_said(voice, text, request.seed, untuned=request.untuned), words), path)
        if request.word_times:
            _write_word_times(path.with_suffix(".words.json"), words, voice.engine.name)


def write_sound(voice: LoadedVoice, pieces: Iterator[Audio], path: Path) -> None:
    """Write one sound file, and say how long the sound is, how long it took, and which utterances were cut off.

    :raises VoiceError: no format has the ending of the file.
    """
    make_parent(path)
    started = time.monotonic()
    endings: Counter[str] = Counter()
    note = synthetic_note(voice.record.name)
    seconds = write_speech(path, audio_format_of(path), _counted(pieces, endings), voice.sample_rate, note)
    echo(f"{path}: {seconds:.2f} s in {time.monotonic() - started:.1f} s{_warn(endings)}")


def _timed(pieces: Iterator[Audio], words: list[WordTime]) -> Iterator[Audio]:
    """Collect the times of the words, in seconds from the start of the whole sound."""
    seconds = 0.0
    for piece in pieces:
        words += [time.later(seconds) for time in piece.words]
        seconds += piece.seconds
        yield piece


def _write_word_times(path: Path, words: Sequence[WordTime], engine: str) -> None:
    """Write a list of words with their seconds as JSON. :raises VoiceError: the engine knows no word times."""
    if not words:
        raise VoiceError(f"{path} is not written: engine {engine!r} does not know when each word is spoken")
    rows = [{"word": time.word, "start": round(time.start, 4), "end": round(time.end, 4)} for time in words]
    write_json(path, rows)
    echo(f"{path}: times of {len(rows)} words")


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
    """Speak one line of several; a line that cannot be read out becomes a pause."""
    return voice.stream(text, seed, untuned=untuned) if is_speakable(text) else iter([pause(voice.sample_rate)])


def _counted(pieces: Iterator[Audio], endings: Counter[str]) -> Iterator[Audio]:
    for piece in pieces:
        if piece.ending is not None:
            endings[piece.ending] += 1
        yield piece


def _warn(endings: Counter[str]) -> str:
    bad = {ending: count for ending, count in endings.items() if not Ending(ending).is_good}
    facts = ", ".join(
        f"{count} of {sum(endings.values())} utterances ended by {ending}" for ending, count in bad.items()
    )
    return f"; {facts}" if facts else ""
