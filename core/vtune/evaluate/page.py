"""A voice as one HTML page: what it reached, and every sentence to listen to beside its base and the recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vtune.evaluate.scores import Score, Scores
from vtune.evaluate.takes import Take
from vtune.folders import write_text
from vtune.types import Clip, Waveform
from vtune.webpage import document, embedded, safe


def write_page(path: Path, voice: str, scores: Scores, takes: Sequence[Take], clips: Sequence[Clip]) -> None:
    """Write the page, whole or not at all; its sound is in it (about 8 kB a second)."""
    body = "\n".join(_body(voice, scores, takes, clips))
    style, script = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    write_text(path, document(f"{voice}: listen", body, style, script))


def _body(voice: str, scores: Scores, takes: Sequence[Take], clips: Sequence[Clip]) -> Iterator[str]:
    yield f"<header><h1>{safe(voice)}</h1>"
    spoken = f"{len(scores.texts)} sentences that the voice was not trained on"
    times = f", each spoken {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    yield f"<p class=source>{spoken}{times}, by the voice and by the engine without its adapter.</p>"
    if scores.scores:
        yield (
            "<div class=wide><table><thead><tr><th scope=col>what<th scope=col>voice<th scope=col>base"
            "<th scope=col>difference, 95 %<th scope=col>recordings</thead><tbody>"
        )
        yield from (_row(one) for one in scores.scores)
        yield "</tbody></table></div>"
    for name, reason in scores.skipped.items():
        yield f"<p class=source>Not measured: {safe(name)}: {safe(reason)}</p>"
    yield "</header><main>"
    for text, clip in enumerate(clips):
        yield f"<article><blockquote dir=auto>{safe(clip.text)}</blockquote>"
        yield _player("recording", clip.waveform, clip.sample_rate, [])
        for place, take in enumerate(takes):
            if take.text == text:
                yield _player(_who(take, scores), take.waveform, take.sample_rate, list(_found(place, scores)))
        yield "</article>"
    yield "</main>"


def _row(score: Score) -> str:
    figures = (score.shown(score.tuned), score.shown(score.base), score.difference(), score.shown(score.recordings))
    return f"<tr><th scope=row>{safe(score.title)}" + "".join(f"<td>{figure}" for figure in figures)


def _who(take: Take, scores: Scores) -> str:
    seed = f", seed {take.seed}" if len(scores.seeds) > 1 else ""
    return ("base" if take.untuned else "voice") + seed


def _found(place: int, scores: Scores) -> Iterator[str]:
    for one in scores.scores:
        if one.each[place] is not None:
            yield f"{one.name} {one.shown(one.each[place])}"
    if scores.heard:
        yield f"heard: {scores.heard[place] or 'nothing'}"


def _player(who: str, waveform: Waveform, sample_rate: int, notes: Sequence[str]) -> str:
    address = embedded(waveform, sample_rate) if len(waveform) else ""
    sound = f'<audio controls preload=metadata src="{address}"></audio>' if address else "<span>no sound</span>"
    said = f"<p class=source>{safe(' · '.join(notes))}</p>" if notes else ""
    return f'<div class="take {who.split(",")[0]}"><b>{safe(who)}</b>{sound}{said}</div>'
