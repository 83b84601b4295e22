"""An evaluation as one HTML page: what each system reached, and every sentence to listen to beside the recording."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vtune.evaluate.material import Material
from vtune.evaluate.scores import Score, Scores
from vtune.evaluate.takes import RECORDING, Take
from vtune.folders import write_text
from vtune.types import Waveform
from vtune.webpage import document, embedded, safe


def write_page(path: Path, title: str, scores: Scores, takes: Sequence[Take], material: Material) -> None:
    """Write the page, whole or not at all; its sound is in it (about 8 kB a second)."""
    body = "\n".join(_body(title, scores, takes, material))
    style, script = (Path(__file__).with_name(f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    write_text(path, document(f"{title}: listen", body, style, script))


def _body(title: str, scores: Scores, takes: Sequence[Take], material: Material) -> Iterator[str]:
    yield f"<header><h1>{safe(title)}</h1>"
    held = " that the voice was not trained on" if material.recordings else ""
    times = f", each {len(scores.seeds)} times" if len(scores.seeds) > 1 else ""
    speakers = safe(", ".join(scores.systems))
    yield f"<p class=source>{len(scores.texts)} sentences{held}, spoken by {speakers}{times}.</p>"
    if scores.scores:
        yield from _table([one for one in scores.scores if one.figure.headline], scores)
        yield "<details><summary>Every figure</summary>"
        yield from _table(scores.scores, scores)
        yield "</details>"
    for name, reason in scores.skipped.items():
        yield f"<p class=source>Not measured: {safe(name)}: {safe(reason)}</p>"
    yield "</header><main>"
    rows = {(row["system"], row["text"], row["seed"]): row for row in scores.takes}
    for text in material.texts:
        yield f"<article><blockquote dir=auto>{safe(text)}</blockquote>"
        if text in material.recordings:
            clip = material.recordings[text]
            yield _player(RECORDING, clip.waveform, clip.sample_rate, [])
        for take in takes:
            if take.text == text:
                row = rows[take.system, take.text, take.seed]
                yield _player(_who(take, scores), take.waveform, take.sample_rate, list(_found(row, scores)))
        yield "</article>"
    yield "</main>"


def _table(several: Sequence[Score], scores: Scores) -> Iterator[str]:
    columns = scores.columns
    heads = "".join(f"<th scope=col>{safe(name)}" for name in columns)
    yield f"<div class=wide><table><thead><tr><th scope=col>what{heads}</thead><tbody>"
    for one in several:
        yield f"<tr><th scope=row>{safe(one.figure.title)}" + "".join(_cell(one, name) for name in columns)
    yield "</tbody></table></div>"


def _cell(score: Score, system: str) -> str:
    difference = score.difference(system)
    return f"<td>{score.shown(system)}" + (f"<small>{difference}</small>" if difference else "")


def _who(take: Take, scores: Scores) -> str:
    return take.system + (f", seed {take.seed}" if len(scores.seeds) > 1 else "")


def _found(row: Mapping[str, Any], scores: Scores) -> Iterator[str]:
    for one in scores.scores:
        number = row["figures"].get(one.figure.name)
        if one.figure.headline and number is not None:
            yield f"{one.figure.name} {one.figure.shown(number)}"
    if "heard" in row:
        yield f"heard: {row['heard'] or 'nothing'}"


def _player(who: str, waveform: Waveform, sample_rate: int, notes: Sequence[str]) -> str:
    address = embedded(waveform, sample_rate) if len(waveform) else ""
    sound = f'<audio controls preload=metadata src="{address}"></audio>' if address else "<span>no sound</span>"
    said = f"<p class=source>{safe(' · '.join(notes))}</p>" if notes else ""
    return f'<div class="take {who.split(",")[0]}"><b>{safe(who)}</b>{sound}{said}</div>'
