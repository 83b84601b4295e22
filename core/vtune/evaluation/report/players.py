"""One take to hear: a player over its spectrogram, its headline figures, and what was heard."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import soxr

from vtune.audio import bring_to, speech_level
from vtune.contract.metrics import RECORDING, MetricSpec, Utterance
from vtune.evaluation.report.spectrogram import COLUMNS, spectrogram
from vtune.evaluation.report.transcript import marked
from vtune.evaluation.scores import Scores
from vtune.types import Waveform
from vtune.webpage import RATE, embedded, safe

LEVEL = -20.0
"""dBFS of the speech of all that is played: of two sounds the louder one seems to be the better one."""

KEYS = 9
"""Digits that play takes."""


@dataclass(frozen=True, slots=True)
class Track:
    """A take as it is played.

    :param sound: at the page's rate and level.
    :param gain: dB by which it was made louder; None for silence.
    :param row: what ``Scores.takes`` has of it.
    """

    take: Utterance
    sound: Waveform
    gain: float | None
    row: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.sound) / RATE


def track(take: Utterance, row: Mapping[str, Any]) -> Track:
    """Bring a take to the page's rate and level, peaks held under -1 dBFS."""
    sound = np.asarray(soxr.resample(take.waveform, take.sample_rate, RATE), dtype=np.float32)
    level = speech_level(sound, RATE)
    return Track(take, bring_to(sound, RATE, LEVEL), LEVEL - level if np.isfinite(level) else None, row)


def player(one: Track, number: int, scores: Scores, scale: float, language: str | None) -> Iterator[str]:
    """Yield the HTML of one take.

    :param number: its place in the sentence, from 1: the key that plays it.
    :param scale: seconds that are as wide as the page.
    :param language: of the words, as Whisper names it.
    """
    who = name_of(one.take, scores)
    sound = embedded(one.sound, RATE) if len(one.sound) else ""
    seed = "null" if one.take.system == RECORDING else one.take.seed
    figures = {figure.name: number for figure, number in _headlines(one.row, scores) if np.isfinite(number)}
    yield (
        f'<div class=take role=group aria-label="{safe(who)}" data-system="{safe(one.take.system)}" data-seed={seed} '
        f'data-seconds={one.seconds:.3f} data-figures="{safe(json.dumps(figures))}">'
    )
    key = f"<kbd>{number}</kbd> " if number <= KEYS else ""
    yield f"<p class=who>{key}<b>{safe(who)}</b> <small>{_length(one)}</small></p>"
    if sound:
        yield f'<button class=play hidden aria-label="play {safe(who)}"></button>'
        yield from _picture(one, scale)
        yield f'<audio controls preload=none src="{sound}"></audio>'
    else:
        yield "<p class=nothing>no sound</p>"
    yield f"<ul class=figures>{''.join(_figures(one.row, scores))}</ul>"
    if "heard" in one.row:
        yield f"<p class=heard>{_heard(one.take.text, str(one.row['heard']), language)}</p>"
    yield "</div>"


def name_of(take: Utterance, scores: Scores) -> str:
    """Return who speaks, with the seed where there are several."""
    return take.system + (f", seed {take.seed}" if len(scores.seeds) > 1 and take.system != RECORDING else "")


def _length(one: Track) -> str:
    change = round(one.gain or 0.0)
    return f"{one.seconds:.1f} s" + (f", {change:+} dB" if change else "")


def _picture(one: Track, scale: float) -> Iterator[str]:
    step = max(1, -(-round(scale * RATE) // COLUMNS))
    width = 100 * one.seconds / scale
    yield (
        f'<div class=strip><div class=picture style="width:{width:.2f}%;--seconds:{one.seconds:.3f}">'
        f'<img alt="" src="{spectrogram(one.sound, step)}"><i hidden></i></div></div>'
    )


def _figures(row: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    for figure, number in _headlines(row, scores):
        yield f'<li><abbr title="{safe(figure.title)}">{safe(figure.name)}</abbr> {safe(figure.shown(number))}</li>'


def _headlines(row: Mapping[str, Any], scores: Scores) -> Iterator[tuple[MetricSpec, float]]:
    for figure in (one.figure for one in scores.scores if one.figure.headline):
        number = row["figures"].get(figure.name)
        if number is not None:
            yield figure, number


def _heard(text: str, heard: str, language: str | None) -> str:
    words = marked(text, heard, language)
    if "<" not in words:
        return "heard word for word"
    return f"{'heard' if heard.strip() else 'heard nothing'}: <q dir=auto>{words}</q>"
