"""One utterance to hear: a player over its spectrogram, its headline metrics, and what the recogniser heard."""

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

MAX_KEYS = 9
"""Digits that play utterances."""


@dataclass(frozen=True, slots=True)
class Track:
    """An utterance as it is played.

    :param sound: samples at the page's sample rate and level.
    :param gain: dB by which it was made louder; None for silence.
    :param row: what ``Scores.utterances`` has of it.
    """

    utterance: Utterance
    sound: Waveform
    gain: float | None
    row: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.sound) / RATE


def track(utterance: Utterance, row: Mapping[str, Any]) -> Track:
    """Bring an utterance to the page's sample rate and level, with peaks under -1 dBFS."""
    sound = np.asarray(soxr.resample(utterance.waveform, utterance.sample_rate, RATE), dtype=np.float32)
    level = speech_level(sound, RATE)
    return Track(utterance, bring_to(sound, RATE, LEVEL), LEVEL - level if np.isfinite(level) else None, row)


def player(one: Track, number: int, scores: Scores, scale: float, language: str | None) -> Iterator[str]:
    """Yield the HTML of one utterance.

    :param number: its number within the sentence, from 1: the key that plays it.
    :param scale: number of seconds that are as wide as the page.
    :param language: of the words, as Whisper names it.
    """
    who = name_of(one.utterance, scores)
    sound = embedded(one.sound, RATE) if len(one.sound) else ""
    seed = "null" if one.utterance.system == RECORDING else one.utterance.seed
    metrics = {spec.name: number for spec, number in _headlines(one.row, scores) if np.isfinite(number)}
    yield (
        f'<div class=utterance role=group aria-label="{safe(who)}" data-system="{safe(one.utterance.system)}" '
        f'data-seed={seed} data-seconds={one.seconds:.3f} data-metrics="{safe(json.dumps(metrics))}">'
    )
    key = f"<kbd>{number}</kbd> " if number <= MAX_KEYS else ""
    yield f"<p class=who>{key}<b>{safe(who)}</b> <small>{_length(one)}</small></p>"
    if sound:
        yield f'<button class=play hidden aria-label="play {safe(who)}"></button>'
        yield from _picture(one, scale)
        yield f'<audio controls preload=none src="{sound}"></audio>'
    else:
        yield "<p class=nothing>no sound</p>"
    yield f"<ul class=metrics>{''.join(_metrics(one.row, scores))}</ul>"
    if "heard" in one.row:
        yield f"<p class=heard>{_heard(one.utterance.text, str(one.row['heard']), language)}</p>"
    yield "</div>"


def name_of(utterance: Utterance, scores: Scores) -> str:
    """Return the name of the system, with the seed where there are several seeds."""
    return utterance.system + (
        f", seed {utterance.seed}" if len(scores.seeds) > 1 and utterance.system != RECORDING else ""
    )


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


def _metrics(row: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    for spec, number in _headlines(row, scores):
        yield f'<li><abbr title="{safe(spec.title)}">{safe(spec.name)}</abbr> {safe(spec.shown(number))}</li>'


def _headlines(row: Mapping[str, Any], scores: Scores) -> Iterator[tuple[MetricSpec, float]]:
    for spec in (one.spec for one in scores.scores if one.spec.headline):
        number = row["metrics"].get(spec.name)
        if number is not None:
            yield spec, number


def _heard(text: str, heard: str, language: str | None) -> str:
    words = marked(text, heard, language)
    if "<" not in words:
        return "heard word for word"
    return f"{'heard' if heard.strip() else 'heard nothing'}: <q dir=auto>{words}</q>"
