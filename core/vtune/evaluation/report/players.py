"""Write the HTML of one utterance: a player, its spectrogram, its headline metrics, and the recognised words."""

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
from vtune.webpage import PAGE_SAMPLE_RATE, safe, sound_data_url

PLAYBACK_LEVEL_DBFS = -20.0
"""Level of the speech in every player: the louder of two sounds seems to be better."""

MAX_KEYS = 9
"""Digits that play utterances."""


@dataclass(frozen=True, slots=True)
class Track:
    """An utterance as it is played.

    :param sound: samples at the page's sample rate and level.
    :param gain: dB by which the sound was made louder; None for silence.
    :param row: the utterance's row in ``Scores.utterances``.
    """

    utterance: Utterance
    sound: Waveform
    gain: float | None
    row: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Length of the sound."""
        return len(self.sound) / PAGE_SAMPLE_RATE


def track(utterance: Utterance, row: Mapping[str, Any]) -> Track:
    """Bring an utterance to the page's sample rate and level, with peaks under -1 dBFS."""
    sound = np.asarray(soxr.resample(utterance.waveform, utterance.sample_rate, PAGE_SAMPLE_RATE), dtype=np.float32)
    level = speech_level(sound, PAGE_SAMPLE_RATE)
    return Track(
        utterance,
        bring_to(sound, PAGE_SAMPLE_RATE, PLAYBACK_LEVEL_DBFS),
        PLAYBACK_LEVEL_DBFS - level if np.isfinite(level) else None,
        row,
    )


def player(track: Track, number: int, scores: Scores, scale: float, language: str | None) -> Iterator[str]:
    """Yield the HTML of one utterance.

    :param number: its number within the sentence, from 1: the key that plays it.
    :param scale: number of seconds that are as wide as the page.
    :param language: of the words, as Whisper names it.
    """
    name = name_of(track.utterance, scores)
    sound = sound_data_url(track.sound, PAGE_SAMPLE_RATE) if len(track.sound) else ""
    seed = "null" if track.utterance.system == RECORDING else track.utterance.seed
    metrics = {spec.name: number for spec, number in _headlines(track.row, scores) if np.isfinite(number)}
    yield (
        f'<div class=utterance role=group aria-label="{safe(name)}" data-system="{safe(track.utterance.system)}" '
        f'data-seed={seed} data-seconds={track.seconds:.3f} data-metrics="{safe(json.dumps(metrics))}">'
    )
    key = f"<kbd>{number}</kbd> " if number <= MAX_KEYS else ""
    yield f"<p class=who>{key}<b>{safe(name)}</b> <small>{_length(track)}</small></p>"
    if sound:
        yield f'<button class=play hidden aria-label="play {safe(name)}"></button>'
        yield from _picture(track, scale)
        yield f'<audio controls preload=none src="{sound}"></audio>'
    else:
        yield "<p class=nothing>no sound</p>"
    yield f"<ul class=metrics>{''.join(_metrics(track.row, scores))}</ul>"
    if "heard" in track.row:
        yield f"<p class=heard>{_heard(track.utterance.text, str(track.row['heard']), language)}</p>"
    yield "</div>"


def name_of(utterance: Utterance, scores: Scores) -> str:
    """Return the name of the system, with the seed where there are several seeds."""
    return utterance.system + (
        f", seed {utterance.seed}" if len(scores.seeds) > 1 and utterance.system != RECORDING else ""
    )


def _length(track: Track) -> str:
    change = round(track.gain or 0.0)
    return f"{track.seconds:.1f} s" + (f", {change:+} dB" if change else "")


def _picture(track: Track, scale: float) -> Iterator[str]:
    step = max(1, -(-round(scale * PAGE_SAMPLE_RATE) // COLUMNS))
    width = 100 * track.seconds / scale
    yield (
        f'<div class=strip><div class=picture style="width:{width:.2f}%;--seconds:{track.seconds:.3f}">'
        f'<img alt="" src="{spectrogram(track.sound, step)}"><i hidden></i></div></div>'
    )


def _metrics(row: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    for spec, number in _headlines(row, scores):
        yield f'<li><abbr title="{safe(spec.title)}">{safe(spec.name)}</abbr> {safe(spec.shown(number))}</li>'


def _headlines(row: Mapping[str, Any], scores: Scores) -> Iterator[tuple[MetricSpec, float]]:
    for spec in (metric_score.spec for metric_score in scores.scores if metric_score.spec.headline):
        number = row["metrics"].get(spec.name)
        if number is not None:
            yield spec, number


def _heard(text: str, recognised: str, language: str | None) -> str:
    words = marked(text, recognised, language)
    if "<" not in words:
        return "heard word for word"
    return f"{'heard' if recognised.strip() else 'heard nothing'}: <q dir=auto>{words}</q>"
